import { errorResponse } from '@relay/admin-contract';
import { printable, printableJson, printableLines, readEnvironment, StartupError } from '@relay/platform';
import { BlockList, isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { Agent, fetch, type RequestInit, type Response } from 'undici';
import { z } from 'zod';
import { readSavedToken, runningOpsPort } from './data-dir.js';
import { UsageError } from '../arguments/usage-error.js';

/** The ops port of a gateway names the control planes that reported lately. */
const elsewhere = z.object({ controlPlane: z.array(z.url({ protocol: /^https?$/ })).min(1) });

const PRIVATE_NETWORKS = new BlockList();
for (const [network, prefix] of [
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const)
  PRIVATE_NETWORKS.addSubnet(network, prefix, 'ipv4');
PRIVATE_NETWORKS.addSubnet('fc00::', 7, 'ipv6');
PRIVATE_NETWORKS.addAddress('::1', 'ipv6');

/** Nothing was sent. */
const NOT_CONNECTED = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
]);
/** Of `fetch` for a port of another protocol, such as 1 or 25 (Fetch standard, port blocking), which has no code. */
const BLOCKED_PORT = 'bad port';
const failedConnection = z.object({ cause: z.object({ code: z.string().optional(), message: z.string() }) });

/** Node's own takes a proxy from the environment where it is told to (NODE_USE_ENV_PROXY), which would get the token. */
const direct = new Agent();

/** It was asked, and may have done it. */
class BrokenAnswerError extends StartupError {}

/** The admin API of a running control plane on this machine, or in this container; or that which a gateway here names. */
export class AdminClient {
  private constructor(
    private url: string,
    private readonly token: string,
    /** What is written is for a person, not JSON. */
    readonly isForTerminal: boolean,
  ) {}

  /**
   * OPS_PORT and OPS_TOKEN; without them, those of the `npm start` that runs with DATA_DIR.
   * @param isForTerminal whether to pass every text of a response through `printable`: much of it is foreign text
   * @throws StartupError
   */
  static fromEnvironment(isForTerminal: boolean, env: NodeJS.ProcessEnv = process.env): AdminClient {
    const dataDir = env['DATA_DIR'] || '.data';
    const token = env['OPS_TOKEN'] || readSavedToken(dataDir);
    if (token === undefined)
      throw new StartupError(
        'Set OPS_TOKEN to the one that the control plane was started with, or DATA_DIR to that of npm start.',
      );
    const found = env['OPS_PORT'] ? undefined : findOpsPort(dataDir, Boolean(env['OPS_TOKEN']));
    if (!env['OPS_PORT'] && !env['OPS_TOKEN'] && found === undefined)
      throw new StartupError(`No npm start runs with ${dataDir}: start it, or set OPS_PORT.`);
    const { OPS_PORT: port } = readEnvironment(['OPS_PORT'], env);
    return new AdminClient(`http://127.0.0.1:${found ?? port}/ops/api`, token, isForTerminal);
  }

  /** @returns the JSON of the response, undefined without one. @throws StartupError with the message of the control plane; UsageError if it calls the request wrong */
  async send(method: 'GET' | 'POST' | 'PUT', path: string, body?: object): Promise<unknown> {
    let answer = await this.reach(method, path, body);
    let text = await this.read(answer);
    let json = parsed(text);
    const moved = elsewhere.safeParse(json);
    if (answer.status === 404 && moved.success) {
      answer = await this.reachOneOf(moved.data.controlPlane, method, path, body);
      text = await this.read(answer);
      json = parsed(text);
    }
    if (answer.ok && (text === '' || json !== undefined))
      return this.isForTerminal ? printableJson(json) : json;
    const said = errorResponse.safeParse(json);
    const message = said.success
      ? printableLines(said.data.error)
      : `The control plane answered ${answer.status}.`;
    throw answer.status === 400 ? new UsageError(message) : new StartupError(message);
  }

  /**
   * One that was killed is named for half a minute; what cannot be connected to has done nothing. One that breaks off may
   * have done it, and no other does it again.
   * @throws StartupError also if the token may be sent to none of them
   */
  private async reachOneOf(
    addresses: readonly string[],
    method: string,
    path: string,
    body?: object,
  ): Promise<Response> {
    let failure: unknown = new StartupError(
      `OPS_TOKEN is not sent to ${printable(addresses.slice(0, 3).join(', '))}, which only the database names: that is neither this machine nor a private network. Run relay beside the control plane.`,
    );
    for (const address of addresses.filter(isNear)) {
      this.url = `${address}/ops/api`;
      try {
        return await this.reach(method, path, body);
      } catch (error) {
        if (error instanceof BrokenAnswerError && method !== 'GET') throw error;
        failure = error;
      }
    }
    throw failure;
  }

  private async reach(method: string, path: string, body?: object): Promise<Response> {
    try {
      return await fetchDirectly(`${this.url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${this.token}`,
          ...(body && { 'content-type': 'application/json' }),
        },
        ...(body && { body: JSON.stringify(body) }),
      });
    } catch (error) {
      const { code = '', message: why } = failedConnection.safeParse(error).data?.cause ?? { message: '' };
      if (!NOT_CONNECTED.has(code) && why !== BLOCKED_PORT) throw this.brokenAnswer(error);
      const message = `No control plane answers at ${new URL(this.url).host}: is it running, and is OPS_PORT the same?`;
      throw new StartupError(message, { cause: error });
    }
  }

  private async read(answer: Response): Promise<string> {
    try {
      return await answer.text();
    } catch (error) {
      throw this.brokenAnswer(error);
    }
  }

  private brokenAnswer(cause: unknown): BrokenAnswerError {
    const { host } = new URL(this.url);
    return new BrokenAnswerError(
      `The connection to ${host} broke before it answered: what was asked may be done. Is that a control plane, and is OPS_PORT the same?`,
      { cause },
    );
  }
}

/**
 * Whoever may write to the database can name any address there, and https would not help: they have a certificate for a name of
 * their own. Services report IP addresses.
 */
function isNear(address: string): boolean {
  const host = new URL(address).hostname.replaceAll(/[[\]]/g, '');
  const family = isIP(host);
  if (family === 0) return false;
  const own = Object.values(networkInterfaces()).flatMap((some) => some ?? []);
  return (
    own.some((each) => each.address === host) || PRIVATE_NETWORKS.check(host, family === 6 ? 'ipv6' : 'ipv4')
  );
}

/** @param hasToken given, not of DATA_DIR: what npm start has left there may have nothing to do with it */
function findOpsPort(dataDir: string, hasToken: boolean): number | undefined {
  try {
    return runningOpsPort(dataDir);
  } catch (error) {
    if (hasToken) return undefined;
    throw error;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Through no proxy, and to no address that an answer leads to: what is sent is for the one that is asked. */
export function fetchDirectly(url: string, init: RequestInit): Promise<Response> {
  return fetch(url, { ...init, dispatcher: direct, redirect: 'manual' });
}
