import { lookup as resolve } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { Agent, buildConnector, type Dispatcher } from 'undici';
import { z } from 'zod';
import { AddressError, checkOrigin, isPublicAddress } from './ssrf-guard.js';
import { readBody, readResponse, type ReadResponse, type ResponseDefect } from './response-reader.js';

/** One POST request, bounded in time and size. No redirects, no retries. */
export interface PostRequest {
  readonly url: URL;
  readonly contentType: string;
  readonly body: string;
  /** Besides those that every request has; names in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** From the first byte sent to the last byte read. */
  readonly timeoutMs: number;
  readonly maxResponseBytes: number;
  /** `host[:port]` that may be plain http and have any address. All other hosts must be https and public. */
  readonly allowHosts: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/**
 * Whether a request was delivered: `no`, certainly not, so that it was not executed; `yes`, there was a response,
 * possibly from a server in front of the portal; `unknown`, it was sent and then the connection failed or the request
 * timed out.
 */
export type Delivered = 'no' | 'unknown' | 'yes';

export type HttpResult =
  | { readonly ok: true; readonly httpStatus: number; readonly text: string }
  | {
      readonly ok: false;
      readonly code: 'TRANSPORT' | 'TIMEOUT' | 'REDIRECT' | 'BAD_ANSWER' | 'BAD_ADDRESS';
      readonly delivered: Delivered;
      readonly httpStatus?: number;
      readonly detail?: ResponseDefect;
      /** The system error code (`ECONNREFUSED`), not the error: its message can quote the address or the response. */
      readonly cause?: string;
    };

/** For DNS, TCP and TLS together; the request's own deadline applies as well. */
const CONNECT_TIMEOUT_MS = 10_000;

const DEFAULT_USER_AGENT = 'bitrix24-rest-client';

/** Shared by all clients of the process. */
const AGENTS = createHttpAgents();

/**
 * Sends a POST. Redirects are reported, not followed: a renamed portal responds 302, and a followed POST may become a
 * GET without its parameters (`settings/how-to-call-rest-api/change-domen.md`).
 *
 * @throws the signal's reason when the caller aborts
 */
export async function post(request: PostRequest, agents: HttpAgents = AGENTS): Promise<HttpResult> {
  const { url, signal, timeoutMs, maxResponseBytes } = request;
  signal?.throwIfAborted();
  const agent = agentFor(request, agents);
  if (agent === undefined) return { ok: false, code: 'BAD_ADDRESS', delivered: 'no' };

  const response = await readResponse(
    agent,
    {
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: 'POST',
      headers: {
        'user-agent': DEFAULT_USER_AGENT,
        ...request.headers,
        'content-type': request.contentType,
        accept: 'application/json',
        'accept-encoding': 'gzip',
      },
      body: request.body,
    },
    { timeoutMs, maxBytes: maxResponseBytes, signal },
  );
  return await toHttpResult(response, maxResponseBytes);
}

function agentFor(
  { url, allowHosts }: PostRequest,
  agents: HttpAgents,
): HttpAgents['unrestricted'] | undefined {
  try {
    return checkOrigin(url, allowHosts).allowed ? agents.unrestricted : agents.ssrfGuarded;
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}

/** Maps a response to an `HttpResult`, which keeps only the status and the text. */
export async function toHttpResult(response: ReadResponse, maxResponseBytes: number): Promise<HttpResult> {
  switch (response.kind) {
    case 'answer': {
      const { httpStatus, bytes, encoding } = response;
      const body = await readBody(bytes, encoding, maxResponseBytes);
      return body.ok ? { ...body, httpStatus } : badAnswer(httpStatus, body.detail);
    }
    case 'too-long':
    case 'cut':
      return badAnswer(response.httpStatus, response.kind);
    case 'redirect':
      return { ok: false, code: 'REDIRECT', delivered: 'yes', httpStatus: response.httpStatus };
    case 'timeout':
      return { ok: false, code: 'TIMEOUT', delivered: response.sent ? 'unknown' : 'no' };
    case 'failed': {
      if (response.error instanceof AddressError) {
        return { ok: false, code: 'BAD_ADDRESS', delivered: 'no' };
      }
      const delivered = response.sent ? 'unknown' : 'no';
      return { ok: false, code: 'TRANSPORT', delivered, cause: systemCode(response.error) };
    }
    default:
      return response satisfies never;
  }
}

function badAnswer(httpStatus: number, detail: ResponseDefect): HttpResult {
  return { ok: false, code: 'BAD_ANSWER', delivered: 'yes', httpStatus, detail };
}

/** Parsed by shape, not by `instanceof`: runtime errors can come from another realm. */
const systemError = z.object({ code: z.string().regex(/^[A-Z0-9_]{1,40}$/) });

function systemCode(error: unknown): string {
  return systemError.safeParse(error).data?.code ?? 'UNKNOWN';
}

/**
 * The connection pools of a process. Idle connections stay open for a few seconds and do not keep the process alive.
 */
interface HttpAgents {
  /** For hosts that the operator has allowed: any address. */
  readonly unrestricted: Dispatcher;
  /** For all other hosts: connecting to an address that is not public fails with `AddressError` (SSRF protection). */
  readonly ssrfGuarded: Dispatcher;
}

/**
 * A name is resolved once, and only addresses that passed the check are connected to. This prevents DNS rebinding,
 * where a name is public when it is checked and private when it is called.
 */
export function createHttpAgents({
  lookup = resolve,
  connectTimeoutMs = CONNECT_TIMEOUT_MS,
}: { readonly lookup?: LookupFunction; readonly connectTimeoutMs?: number } = {}): HttpAgents {
  // The caller sets the deadline of each request.
  const limits = { headersTimeout: 0, bodyTimeout: 0 };
  return {
    unrestricted: new Agent({ ...limits, connect: { timeout: connectTimeoutMs } }),
    ssrfGuarded: new Agent({ ...limits, connect: publicConnector(lookup, connectTimeoutMs) }),
  };
}

function publicConnector(lookup: LookupFunction, timeout: number): buildConnector.connector {
  const connect = buildConnector({ timeout, lookup: publicLookup(lookup) });
  return (options, callback) => {
    // A literal IP address is never resolved.
    if (isIP(options.hostname) !== 0 && !isPublicAddress(options.hostname)) {
      process.nextTick(callback, new AddressError('private-host'), null);
      return;
    }
    connect(options, callback);
  };
}

function publicLookup(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        callback(error, []);
        return;
      }
      const all = typeof found === 'string' ? [{ address: found, family: isIP(found) }] : found;
      const addresses = all.filter(({ address }) => isPublicAddress(address));
      const [first] = addresses;
      if (first === undefined) callback(new AddressError('private-host'), []);
      else if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
