import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';

const SEND_INTERVAL_MS = 100;

/**
 * Streams of server-sent events, each message the whole of what its page shows. A mass update changes thousands of
 * items a second; an eye needs ten pictures of it. So a stream looks at intervals and sends only what is new, and
 * nothing in a portal has to know that it is watched. A page that reads slowly misses pictures, not the last one.
 */
export class ViewStreams {
  private readonly open = new Set<ServerResponse>();

  /** @param view what is to be seen now; undefined ends the stream with the event `gone` */
  start(reply: FastifyReply, view: () => object | undefined): void {
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' });
    let sent = '';
    const send = (): void => {
      if (raw.writableEnded || raw.writableNeedDrain) return;
      const seen = view();
      if (!seen) {
        raw.end('event: gone\ndata:\n\n');
        return;
      }
      const data = JSON.stringify(seen);
      if (data === sent) return;
      sent = data;
      raw.write(`data: ${data}\n\n`);
    };
    const timer = setInterval(send, SEND_INTERVAL_MS);
    this.open.add(raw);
    raw.on('close', () => {
      clearInterval(timer);
      this.open.delete(raw);
    });
    send();
  }

  /** An open stream would keep the server from closing. */
  stop(): void {
    for (const raw of this.open) raw.end();
  }
}
