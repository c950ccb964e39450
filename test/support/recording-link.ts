import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A way to a server on this machine that keeps all that passes, in both directions. */
export class RecordingLink {
  private readonly sockets = new Set<Socket>();
  /** One for each direction of each connection. */
  private readonly recordings: string[][] = [];

  private constructor(private readonly server: Server) {}

  static async to(port: number): Promise<RecordingLink> {
    const server = createServer();
    const link = new RecordingLink(server);
    server.on('connection', (near) => {
      const far = connect(port, '127.0.0.1');
      link.join(near, far);
      link.join(far, near);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return link;
  }

  get url(): string {
    const address: AddressInfo | string | null = this.server.address();
    if (address === null || typeof address === 'string') throw new Error('the link is closed');
    return `http://127.0.0.1:${address.port}`;
  }

  recorded(): string {
    return this.recordings.map((chunks) => chunks.join('')).join('\n');
  }

  async close(): Promise<void> {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await once(this.server, 'close');
  }

  private join(from: Socket, to: Socket): void {
    const recording: string[] = [];
    this.recordings.push(recording);
    this.sockets.add(from);
    from.on('data', (bytes) => recording.push(bytes.toString('latin1')));
    from.pipe(to);
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
  }
}
