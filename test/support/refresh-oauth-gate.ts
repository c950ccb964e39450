import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

/**
 * Points at which a token exchange can be held: before the OAuth server receives it, or after it has consumed the
 * refresh token.
 */
export type ExchangeMoment = 'request' | 'answer';

/**
 * Stands before the simulator's OAuth server and holds one exchange; others pass meanwhile. Each worker has an address of its own here,
 * `<url>/<worker>`, so it is known whose exchange it is.
 */
export class OAuthGate {
  /** Workers whose exchange the OAuth server has received, and those it has granted, in order. */
  readonly asked: string[] = [];
  readonly granted: string[] = [];
  private readonly server: Server;
  private closed: { at: ExchangeMoment; opened: AbortController } | undefined;
  private exchange: { worker: string; response: ServerResponse } | undefined;

  private constructor(private readonly targetUrl: string) {
    this.server = createServer((request, response) => {
      this.pass(request, response).catch(() => response.destroy());
    });
  }

  static async before(targetUrl: string): Promise<OAuthGate> {
    const gate = new OAuthGate(targetUrl);
    gate.server.listen(0, '127.0.0.1');
    await once(gate.server, 'listening');
    return gate;
  }

  get url(): string {
    const address = this.server.address();
    if (address === null || typeof address === 'string') throw new Error('the gate does not listen');
    return `http://127.0.0.1:${address.port}`;
  }

  /** The next exchange is held at this moment. */
  close(at: ExchangeMoment): void {
    this.exchange = undefined;
    this.closed = { at, opened: new AbortController() };
  }

  /** What is held goes on. */
  open(): void {
    this.closed?.opened.abort();
    this.closed = undefined;
  }

  /** The worker whose exchange is held; undefined while there is none. */
  get held(): string | undefined {
    return this.exchange?.worker;
  }

  /** The one whose exchange is held has gone: what it sent goes nowhere any more. */
  get isAbandoned(): boolean {
    return this.exchange?.response.destroyed ?? false;
  }

  /** Forgets who asked and who was granted a pair. */
  forget(): void {
    this.asked.length = this.granted.length = 0;
  }

  async stop(): Promise<void> {
    this.open();
    this.server.closeAllConnections();
    await new Promise((resolve) => {
      this.server.close(resolve);
    });
  }

  private async pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, worker = '', ...path] = (request.url ?? '').split('/');
    const body = await text(request);
    await this.wait('request', worker, response);
    if (response.destroyed) return;
    this.asked.push(worker);
    const answer = await fetch(`${this.targetUrl}/${path.join('/')}`, {
      method: 'POST',
      headers: { 'content-type': request.headers['content-type'] ?? '' },
      body,
    });
    const content = await answer.text();
    if (answer.ok) this.granted.push(worker);
    await this.wait('answer', worker, response);
    response.writeHead(answer.status, { 'content-type': 'application/json', connection: 'close' });
    response.end(content);
  }

  private async wait(at: ExchangeMoment, worker: string, response: ServerResponse): Promise<void> {
    if (this.closed?.at !== at || this.exchange) return;
    this.exchange = { worker, response };
    await once(this.closed.opened.signal, 'abort');
  }
}
