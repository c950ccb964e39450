import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import { PortalClient, type PortalClientOptions } from '../src/portal-client.js';
import { MemoryTokens } from './token-store.js';

/** A request as the peer received it. */
export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface Reply {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  /** Bytes and strings are sent unchanged, anything else as JSON. */
  readonly body?: unknown;
}

/** `hang` never answers, `reset` breaks the connection, `cut` breaks it in the middle of the body. */
export type Behaviour = Reply | 'hang' | 'reset' | 'cut';

/** A real HTTP server on the loopback interface whose responses a spec scripts. */
export class Peer {
  readonly received: ReceivedRequest[] = [];
  answer: (received: ReceivedRequest, count: number) => Behaviour = () => ({ body: { result: true } });
  /** Opened and closed connections. */
  connections = 0;
  closed = 0;
  private readonly server: Server;
  private readonly waiting: { done: () => boolean; resolve: () => void }[] = [];

  private constructor(server: Server) {
    this.server = server;
    server.on('connection', (socket) => {
      this.connections += 1;
      socket.on('close', () => {
        this.closed += 1;
        this.wake();
      });
    });
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const received: ReceivedRequest = {
          method: request.method ?? '',
          path: request.url ?? '',
          headers: request.headers,
          text: Buffer.concat(chunks).toString('utf8'),
        };
        this.received.push(received);
        this.wake();
        behave(response, this.answer(received, this.received.length));
      });
    });
  }

  static async start(): Promise<Peer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Peer(server);
  }

  /** Resolves when it has received `count` requests. */
  hears(count: number): Promise<void> {
    return this.when(() => this.received.length >= count);
  }

  /** Resolves when `count` connections are closed. */
  loses(count: number): Promise<void> {
    return this.when(() => this.closed >= count);
  }

  private when(done: () => boolean): Promise<void> {
    return done() ? Promise.resolve() : new Promise((resolve) => this.waiting.push({ done, resolve }));
  }

  private wake(): void {
    for (const { done, resolve } of this.waiting) if (done()) resolve();
  }

  get host(): string {
    const address = this.server.address();
    if (address === null || typeof address === 'string') throw new Error('the peer is not listening');
    return `127.0.0.1:${address.port}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** The client of a portal that this peer is; it repeats a request without a pause. */
export function clientOf(peer: Peer, options: Partial<PortalClientOptions> = {}): PortalClient {
  const { tokens = new MemoryTokens(`${peer.url}/rest/`, 'token') } = options;
  // Whichever port: a portal may move to another peer.
  const allowHosts = ['127.0.0.1'];
  return new PortalClient({ memberId: 'm1', allowHosts, repeatPauseMs: () => 0, ...options, tokens });
}

function behave(response: ServerResponse, behaviour: Behaviour): void {
  if (behaviour === 'hang') return;
  if (behaviour === 'reset') {
    response.destroy();
    return;
  }
  if (behaviour === 'cut') {
    response.writeHead(200, { 'content-length': '1000' });
    response.write('{"result":', () => response.destroy());
    return;
  }
  const { status = 200, headers = { 'content-type': 'application/json' }, body } = behaviour;
  response.writeHead(status, headers);
  response.end(typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body));
}
