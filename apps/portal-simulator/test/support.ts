import { EventEmitter, once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { silentLog } from '@relay/platform';
import { startSimulator, type Simulator, type SimulatorOptions } from '../src/simulator.js';

/** An HTTP response; its body is read by dotted path: `answer.at('result.items.0.id')`. */
export class Answer {
  constructor(
    readonly status: number,
    readonly body: unknown,
    readonly headers: Headers,
  ) {}

  at(path: string): unknown {
    let value = this.body;
    for (const key of path.split('.'))
      value = z.record(z.string(), z.unknown()).parse({ ...Object(value) })[key];
    return value;
  }

  text(path: string): string {
    return z.string().parse(this.at(path));
  }

  get error(): unknown {
    return [this.status, this.at('error')];
  }
}

const CONTENT_TYPES = { json: 'application/json', form: 'application/x-www-form-urlencoded' } as const;

/** A running simulator with helpers to call it. */
export class TestSimulator {
  private constructor(
    readonly simulator: Simulator,
    private readonly clock: { skippedMs: number },
  ) {}

  static async start(options: Partial<SimulatorOptions> = {}): Promise<TestSimulator> {
    const clock = { skippedMs: 0 };
    const now = (): number => Date.now() + clock.skippedMs;
    const simulator = await startSimulator({ port: 0, log: silentLog, host: '127.0.0.1', now, ...options });
    return new TestSimulator(simulator, clock);
  }

  /** Advances the simulator's clock. */
  skip(seconds: number): void {
    this.clock.skippedMs += seconds * 1000;
  }

  /** The simulator's time. */
  nowMs(): number {
    return Date.now() + this.clock.skippedMs;
  }

  async send(path: string, init: RequestInit = {}): Promise<Answer> {
    const response = await fetch(this.simulator.url + path, { redirect: 'manual', ...init });
    const body = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') ?? false;
    return new Answer(response.status, isJson ? JSON.parse(body) : body, response.headers);
  }

  post(path: string, body: object | string, as: keyof typeof CONTENT_TYPES = 'json'): Promise<Answer> {
    const content = typeof body === 'string' ? body : JSON.stringify(body);
    return this.send(path, { method: 'POST', body: content, headers: { 'content-type': CONTENT_TYPES[as] } });
  }

  /** A REST call by the incoming webhook of a portal. */
  call(method: string, params: object = {}, portal = 'demo'): Promise<Answer> {
    return this.post(`/portals/${portal}/rest/1/${portal}/${method}`, params);
  }

  /** A REST call of the application. */
  callAs(accessToken: string, method: string, params: object = {}, portal = 'demo'): Promise<Answer> {
    return this.post(`/portals/${portal}/rest/${method}`, { ...params, auth: accessToken });
  }

  /** The status of a GET from another local address; all of 127.0.0.0/8 is this machine. */
  statusFrom(localAddress: string, path: string): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const sent = httpRequest(this.simulator.url + path, { localAddress, agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      sent.on('error', reject);
      sent.end();
    });
  }

  control(action: string, body: object = {}, portal = 'demo'): Promise<Answer> {
    return this.post(`/_sim/portals/${portal}/${action}`, body);
  }

  async stats(portal = 'demo'): Promise<unknown> {
    return (await this.send(`/_sim/portals/${portal}/stats`)).body;
  }

  /** Installs the application without sending a request. */
  async install(
    portal = 'demo',
  ): Promise<{ accessToken: string; refreshToken: string; applicationToken: string }> {
    const answer = await this.control('install', {}, portal);
    return {
      accessToken: answer.text('access_token'),
      refreshToken: answer.text('refresh_token'),
      applicationToken: answer.text('application_token'),
    };
  }

  refresh(refreshToken: string, keys: object = {}): Promise<Answer> {
    const given = { grant_type: 'refresh_token', client_id: 'demo.app', client_secret: 'demo.secret' };
    const form = new URLSearchParams({ ...given, refresh_token: refreshToken, ...keys });
    return this.post('/oauth/token/', form.toString(), 'form');
  }

  close(): Promise<void> {
    return this.simulator.close();
  }
}

/** An event handler that records its requests. */
export class TestHandler {
  readonly requests: {
    contentType: string | undefined;
    query: URLSearchParams;
    body: string;
    form: URLSearchParams;
  }[] = [];
  status = 200;
  answer = '';
  maxInFlight = 0;
  private gate: Promise<void> = Promise.resolve();
  private inFlight = 0;
  private readonly server = createServer((request, response) => {
    void this.take(request, response);
  });

  static async start(): Promise<TestHandler> {
    const handler = new TestHandler();
    await new Promise<void>((resolve) => handler.server.listen(0, '127.0.0.1', resolve));
    return handler;
  }

  get url(): string {
    const address = this.server.address();
    const { port } = z.object({ port: z.number() }).parse(address satisfies AddressInfo | string | null);
    return `http://127.0.0.1:${port}/events`;
  }

  get forms(): URLSearchParams[] {
    return this.requests.map(({ form }) => form);
  }

  /** Holds all responses back until the returned function is called. */
  hold(): () => void {
    const gate = new EventEmitter();
    this.gate = once(gate, 'open').then(() => undefined);
    return () => {
      gate.emit('open');
    };
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.inFlight += 1;
    this.maxInFlight = Math.max(this.maxInFlight, this.inFlight);
    const body = await text(request);
    const contentType = request.headers['content-type'];
    const { searchParams: query } = new URL(request.url ?? '/', this.url);
    this.requests.push({ contentType, query, body, form: new URLSearchParams(body) });
    await this.gate;
    this.inFlight -= 1;
    response.statusCode = this.status;
    response.end(this.answer);
  }
}
