import { connect, createServer, type Server, type Socket } from 'node:net';
import { portOf } from './port-of.js';

/** Stands between a client and PostgreSQL, in order to fail as networks do. */
export class TcpProxy {
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;
  private frozen = false;
  private freezesAt: string | undefined;

  private constructor(private readonly target: URL) {
    this.server = createServer((client) => {
      const server = connect(Number(target.port), target.hostname);
      for (const [socket, other] of [
        [client, server],
        [server, client],
      ] as const) {
        this.sockets.add(socket);
        socket.on('data', (chunk) => {
          if (socket === client && this.freezesAt && chunk.includes(this.freezesAt)) this.freeze();
          if (!this.frozen) other.write(chunk);
        });
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          this.sockets.delete(socket);
          other.destroy();
        });
      }
    });
  }

  static async open(databaseUrl: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(new URL(databaseUrl));
    await new Promise<void>((resolve) => {
      proxy.server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  /** The database's address by way of this proxy. */
  get url(): string {
    const url = new URL(this.target.href);
    url.host = `127.0.0.1:${portOf(this.server)}`;
    return url.href;
  }

  /** Connections stay open and nothing passes any more, as behind a dead router. */
  freeze(): void {
    this.frozen = true;
  }

  /** Freezes as soon as a client sends this, which the database does not hear any more. */
  freezeAt(text: string): void {
    this.freezesAt = text;
  }

  thaw(): void {
    this.frozen = false;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => {
      this.server.close(resolve);
    });
  }
}
