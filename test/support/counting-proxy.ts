import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** Stands between a client and its server, and counts what the server delivers. */
export interface CountingProxy {
  /** The address with the proxy's host and port in it. */
  url: string;
  /** Messages that RabbitMQ delivered, or rows of several columns that PostgreSQL returned. */
  count(): number;
  /** Ends every connection, as the death of the client's process would. */
  cut(): void;
  close(): Promise<void>;
}

/** Tells the length of the frame at the start of the data, and whether it counts; undefined: more data is needed. */
type ReadFrame = (data: Buffer) => { length: number; counts: boolean } | undefined;

const AMQP_METHOD = 1;
const BASIC_DELIVER = (60 << 16) | 60;
const BASIC_GET_OK = (60 << 16) | 71;

const readAmqpFrame: ReadFrame = (data) => {
  if (data.length < 7) return undefined;
  const length = 7 + data.readUInt32BE(3) + 1;
  if (data.length < length) return undefined;
  const isMethod = data[0] === AMQP_METHOD;
  return { length, counts: isMethod && [BASIC_DELIVER, BASIC_GET_OK].includes(data.readUInt32BE(7)) };
};

const DATA_ROW = 'D'.charCodeAt(0);

const readPostgresMessage: ReadFrame = (data) => {
  if (data.length < 5) return undefined;
  const length = 1 + data.readUInt32BE(1);
  if (data.length < length) return undefined;
  // One column answers a question, such as whether somebody waits for a lock.
  return { length, counts: data[0] === DATA_ROW && data.readUInt16BE(5) > 1 };
};

export async function countingProxy(targetUrl: string): Promise<CountingProxy> {
  const target = new URL(targetUrl);
  const readFrame = target.protocol === 'amqp:' ? readAmqpFrame : readPostgresMessage;
  const sockets = new Set<Socket>();
  let count = 0;

  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    let rest: Buffer = Buffer.alloc(0);
    upstream.on('data', (data) => {
      rest = Buffer.concat([rest, data]);
      for (let frame = readFrame(rest); frame; frame = readFrame(rest)) {
        if (frame.counts) count += 1;
        rest = rest.subarray(frame.length);
      }
    });
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The proxy has no port');
  const url = new URL(targetUrl);
  [url.hostname, url.port] = ['127.0.0.1', String(address.port)];
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: url.href,
    count: () => count,
    cut,
    close: async () => {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
