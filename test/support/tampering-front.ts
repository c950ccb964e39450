import { once } from 'node:events';
import {
  createServer,
  request as ask,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import type { Relay } from './relay.js';

/** What a method answers in place of `result`, to a call with these parameters. */
export type Tamper = (method: string, parameters: URLSearchParams, result: unknown) => unknown;

/** Delays a request before Bitrix24 gets it, or the answer to it. */
export type Hold = (
  moment: 'request' | 'answer',
  request: { url: string; body: string },
) => Promise<void> | undefined;

const batch = z.object({ cmd: z.record(z.string(), z.string()) });
const batchAnswer = z.looseObject({ result: z.looseObject({ result: z.record(z.string(), z.unknown()) }) });
const answer = z.looseObject({ result: z.unknown() });

/**
 * Stands between the apps and Bitrix24 in the place of `relay.outside`: portals say what a spec lets them say, which the simulated ones, being
 * right, do not. Inside a batch too.
 */
export class TamperingFront {
  private constructor(private readonly server: Server) {}

  static async of(
    relay: Relay,
    tamper: Tamper = (_method, _parameters, result) => result,
    hold: Hold = () => undefined,
  ): Promise<TamperingFront> {
    await relay.outside.cut();
    const simulatorPort = Number(relay.env['SIMULATOR_PORT']);
    const server = createServer((request, response) => {
      pass(request, response, simulatorPort, { tamper, hold }).catch(() => response.destroy());
    });
    server.listen(relay.outside.port, '127.0.0.1');
    await once(server, 'listening');
    return new TamperingFront(server);
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}

async function pass(
  request: IncomingMessage,
  response: ServerResponse,
  port: number,
  { tamper, hold }: { tamper: Tamper; hold: Hold },
): Promise<void> {
  const body = await text(request);
  const { url = '' } = request;
  await hold('request', { url, body });
  // The caller has ended: it never arrives.
  if (request.socket.destroyed) return;
  const { 'accept-encoding': _, ...headers } = request.headers;
  const asked = ask({ host: '127.0.0.1', port, method: request.method, path: request.url, headers });
  asked.end(body);
  const [answered]: IncomingMessage[] = await once(asked, 'response');
  const { statusCode = 502, headers: answeredHeaders } = answered ?? {};
  const told = answered ? await text(answered) : '';
  const method = /\/rest\/+(?:[^/]+\/[^/]+\/)?([\w.]+?)(?:\.json)?(?:\?|$)/.exec(request.url ?? '')?.[1];
  const shown = method === undefined || statusCode !== 200 ? told : tampered(method, body, told, tamper);
  await hold('answer', { url, body });
  response.writeHead(statusCode, {
    'content-type': answeredHeaders?.['content-type'] ?? 'application/json',
    ...(answeredHeaders?.location !== undefined && { location: answeredHeaders.location }),
  });
  response.end(shown);
}

function tampered(method: string, body: string, told: string, tamper: Tamper): string {
  const parsed: unknown = JSON.parse(told);
  if (method !== 'batch') {
    const single = answer.parse(parsed);
    return JSON.stringify({ ...single, result: tamper(method, new URLSearchParams(), single.result) });
  }
  const { cmd } = batch.parse(JSON.parse(body));
  const whole = batchAnswer.safeParse(parsed);
  if (!whole.success) return told;
  const results = Object.entries(whole.data.result.result).map(([key, result]) => {
    const [name = '', query = ''] = (cmd[key] ?? '').split('?');
    return [key, tamper(name, new URLSearchParams(query), result)];
  });
  return JSON.stringify({
    ...whole.data,
    result: { ...whole.data.result, result: Object.fromEntries(results) },
  });
}
