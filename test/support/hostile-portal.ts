import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { z } from 'zod';

/** A REST call as the hostile side heard it. */
export interface HeardCall {
  readonly memberId: string;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly token: string;
}

export interface HostileAnswer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  /** Bytes and strings as they are, anything else as JSON. */
  readonly body: unknown;
}

const params = z.record(z.string(), z.unknown()).catch({});
const commands = z.record(z.string(), z.string()).catch({});

/**
 * Portals that answer whatever a test wants, and the OAuth server that vouches for them, in one HTTP server: what Bitrix24
 * never does, or does once in a year. Any `member_id` is granted tokens. Portals that behave are the simulator's.
 */
export class HostilePortals {
  readonly calls: HeardCall[] = [];
  /** How often each `member_id` was granted a pair. */
  readonly grants = new Map<string, number>();
  /** `undefined`: as a portal with nothing in it would; a promise keeps the caller waiting. */
  answer: (call: HeardCall) => HostileAnswer | undefined | Promise<HostileAnswer | undefined> = () =>
    undefined;
  /** In place of the OAuth server's grant. */
  oauthAnswer: (memberId: string) => HostileAnswer | undefined | Promise<HostileAnswer | undefined> = () =>
    undefined;
  /** By refresh token, which works once. */
  readonly #refresh = new Map<string, string>();
  /** The access token that is good now, by `member_id`. */
  readonly #access = new Map<string, string>();
  readonly #applicationTokens = new Map<string, string>();
  readonly #server: Server;
  readonly #port: Promise<number>;

  private constructor() {
    this.#server = createServer((request, response) => void this.#respond(request, response));
    this.#port = new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', () => {
        resolve(z.object({ port: z.number() }).parse(this.#server.address()).port);
      });
    });
  }

  static async start(): Promise<HostilePortals> {
    const portals = new HostilePortals();
    await portals.#port;
    return portals;
  }

  /** For `B24_ALLOW_HOSTS`. */
  async host(): Promise<string> {
    return `127.0.0.1:${await this.#port}`;
  }

  /** For `B24_OAUTH_URL`. */
  async url(): Promise<string> {
    return `http://${await this.host()}`;
  }

  async endpointOf(memberId: string): Promise<string> {
    return `${await this.url()}/portals/${memberId}/rest/`;
  }

  /** A pair as an install brings it. */
  issue(memberId: string): { access_token: string; refresh_token: string } {
    const pair = {
      access_token: randomBytes(20).toString('hex'),
      refresh_token: randomBytes(20).toString('hex'),
    };
    this.#refresh.set(pair.refresh_token, memberId);
    this.#access.set(memberId, pair.access_token);
    return pair;
  }

  accessTokenOf(memberId: string): string | undefined {
    return this.#access.get(memberId);
  }

  /** Installs the application by ONAPPINSTALL. @returns what the gateway answered */
  async install(gatewayUrl: string, memberId: string): Promise<number> {
    const applicationToken = randomBytes(16).toString('hex');
    this.#applicationTokens.set(memberId, applicationToken);
    const { access_token: access, refresh_token: refresh } = this.issue(memberId);
    return await post(`${gatewayUrl}/b24/install`, {
      event: 'ONAPPINSTALL',
      'data[VERSION]': '1',
      ts: '1724697689',
      'auth[access_token]': access,
      'auth[refresh_token]': refresh,
      'auth[expires_in]': '3600',
      'auth[domain]': await this.host(),
      'auth[member_id]': memberId,
      'auth[application_token]': applicationToken,
      'auth[client_endpoint]': await this.endpointOf(memberId),
    });
  }

  /** @returns what the gateway answered to the event */
  async send(
    gatewayUrl: string,
    memberId: string,
    event: string,
    fields: Record<string, string>,
  ): Promise<number> {
    return await post(`${gatewayUrl}/b24/events`, {
      event,
      event_handler_id: '1',
      ts: '1724697689',
      ...Object.fromEntries(Object.entries(fields).map(([key, value]) => [`data[FIELDS][${key}]`, value])),
      'auth[domain]': await this.host(),
      'auth[member_id]': memberId,
      'auth[application_token]': this.#applicationTokens.get(memberId) ?? '',
    });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  async #respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request).catch(() => '');
    const [, memberId = '', method = ''] = /\/portals\/([^/]+)\/rest\/+([^?]+)/.exec(request.url ?? '') ?? [];
    const answer = method === '' ? await this.#grant(body) : await this.#rest(memberId, method, body);
    response.on('error', () => undefined);
    const { status = 200, headers = {}, body: said } = answer;
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof said === 'string' || said instanceof Uint8Array ? said : JSON.stringify(said));
  }

  async #rest(memberId: string, method: string, body: string): Promise<HostileAnswer> {
    const { auth, ...rest } = params.parse(JSON.parse(body || '{}'));
    const token = typeof auth === 'string' ? auth : '';
    const call: HeardCall = { memberId, method, params: rest, token };
    this.calls.push(call);
    return (await this.answer(call)) ?? { body: { result: emptyResult(method, rest) } };
  }

  async #grant(body: string): Promise<HostileAnswer> {
    const refreshToken = new URLSearchParams(body).get('refresh_token') ?? '';
    const memberId = this.#refresh.get(refreshToken);
    if (memberId === undefined) return { status: 400, body: { error: 'invalid_grant' } };
    const instead = await this.oauthAnswer(memberId);
    if (instead) return instead;
    this.#refresh.delete(refreshToken);
    this.grants.set(memberId, (this.grants.get(memberId) ?? 0) + 1);
    return {
      body: {
        ...this.issue(memberId),
        expires_in: 3600,
        domain: 'oauth.bitrix.info',
        server_endpoint: `${await this.url()}/rest/`,
        client_endpoint: await this.endpointOf(memberId),
        member_id: memberId,
        scope: 'crm',
        status: 'L',
      },
    };
  }
}

/** What a portal answers that has the application, and nothing in it. */
export function emptyResult(method: string, { cmd }: Readonly<Record<string, unknown>> = {}): unknown {
  switch (method) {
    case 'batch': {
      const asked = Object.entries(commands.parse(cmd));
      return {
        result: Object.fromEntries(
          asked.map(([key, query]) => [key, emptyResult(query.split('?')[0] ?? '')]),
        ),
        result_error: [],
        result_total: [],
        result_next: [],
        result_time: [],
      };
    }
    case 'user.admin':
    case 'event.bind':
      return true;
    case 'crm.type.list':
      return { types: [] };
    case 'crm.item.list':
      return { items: [] };
    case 'crm.item.fields':
      return { fields: {} };
    case 'app.info':
    case 'profile':
      return { ID: 1 };
    default:
      return [];
  }
}

/** A REST answer of so many bytes in a few packed ones: what stands in `result` is `unit` again and again. */
export function packedBomb(bytes: number, unit = '[],'): HostileAnswer {
  const inside = unit.repeat(Math.floor(bytes / unit.length)).slice(0, -1);
  const body = gzipSync(`{"result":[${inside}]}`, { level: 9 });
  return { headers: { 'content-encoding': 'gzip' }, body };
}

async function post(url: string, form: Record<string, string>): Promise<number> {
  const { status } = await fetch(url, { method: 'POST', body: new URLSearchParams(form) });
  return status;
}
