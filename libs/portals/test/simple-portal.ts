import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { portOf } from './port-of.js';

export interface PortalAnswer {
  status: number;
  body: object;
  headers?: Record<string, string>;
}

const withToken = z.object({ auth: z.string() });

/** A portal's REST on a real port that answers whatever a test wants, and remembers what it was asked. */
export class SimplePortal {
  readonly asked: { url: string; token: string }[] = [];
  answer: (token: string) => PortalAnswer = () => ({ status: 200, body: { result: 'done' } });
  private readonly server: Server;

  private constructor() {
    this.server = createServer((request, response) => void this.respond(request, response));
  }

  static async start(): Promise<SimplePortal> {
    const portal = new SimplePortal();
    await new Promise<void>((resolve) => {
      portal.server.listen(0, '127.0.0.1', resolve);
    });
    return portal;
  }

  get clientEndpoint(): string {
    return `http://127.0.0.1:${portOf(this.server)}/rest/`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => {
      this.server.close(resolve);
    });
  }

  private async respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { auth: token } = withToken.parse(JSON.parse(await text(request)));
    this.asked.push({ url: request.url ?? '', token });
    const { status, body, headers } = this.answer(token);
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  }
}
