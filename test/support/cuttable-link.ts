import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { freePort } from './free-port.mjs';

/** A link to a server on this machine that a test can cut and restore, to simulate network failures. */
export class CuttableLink {
  private readonly sockets = new Set<Socket>();
  private server: Server | undefined;
  private isFrozen = false;

  private constructor(
    readonly port: number,
    private readonly targetPort: number,
    private readonly targetHost: string,
  ) {}

  static async to(targetPort: number, targetHost = '127.0.0.1'): Promise<CuttableLink> {
    const link = new CuttableLink(await freePort(), targetPort, targetHost);
    await link.mend();
    return link;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Closes the open connections and rejects new ones. */
  async cut(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    if (!server) return;
    server.close();
    for (const socket of this.sockets) socket.destroy();
    await once(server, 'close');
  }

  /** Nothing passes any more, and nobody is told. */
  freeze(): void {
    this.isFrozen = true;
    for (const socket of this.sockets) socket.pause();
  }

  async mend(): Promise<void> {
    this.isFrozen = false;
    for (const socket of this.sockets) socket.resume();
    if (this.server) return;
    this.server = createServer((near) => this.join(near, connect(this.targetPort, this.targetHost)));
    this.server.listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
  }

  private join(near: Socket, far: Socket): void {
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.sockets.add(one);
      one.pipe(other);
      if (this.isFrozen) one.pause();
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.sockets.delete(one);
        other.destroy();
      });
    }
  }
}
