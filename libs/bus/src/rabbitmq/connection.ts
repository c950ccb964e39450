import { waitAtMost, deferred } from '@relay/platform';
import amqp, { type Channel, type ChannelModel } from 'amqplib';
import { Writable } from 'node:stream';

/** A frozen broker, as opposed to a lost one, is detected after two to three heartbeats. */
const HEARTBEAT_SECONDS = 5;
const CONNECT_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 2_000;
/** Right after a broker restart a quorum queue may have no leader, and an operation on it gets no answer. */
const SET_UP_TIMEOUT_MS = 60_000;

/**
 * Opens a connection and runs `setUp` on it, or closes it again. `onEnd` receives the end of the connection; every
 * `error` event has a listener, because an unhandled one would end the process.
 */
export async function connect<T>(
  url: string,
  name: string,
  onEnd: (cause: Error) => void,
  setUp: (connection: ChannelModel) => Promise<T>,
): Promise<T> {
  const connection = await amqp.connect(withHeartbeat(url), {
    timeout: CONNECT_TIMEOUT_MS,
    noDelay: true,
    keepAlive: true,
    clientProperties: { connection_name: `b24-relay ${name}` },
  });
  batchWrites(connection);
  const failed = deferred<never>();
  failed.promise.catch(nothing);
  const end = (cause: Error): void => {
    failed.reject(cause);
    onEnd(cause);
  };
  connection.on('error', end);
  connection.on('close', (cause) => end(cause ?? new Error('The connection was closed')));
  try {
    const made = await waitAtMost(
      Promise.race([setUp(connection).then((value) => ({ value })), failed.promise]),
      SET_UP_TIMEOUT_MS,
    );
    if (!made) throw new Error(`The broker did not set up queues within ${SET_UP_TIMEOUT_MS} ms`);
    return made.value;
  } catch (error) {
    await closeQuietly(connection);
    throw error;
  }
}

/**
 * amqplib writes every frame with its own system call. This buffers what it writes in one event-loop iteration into a
 * single write: thousands of retries or acks of one portal then delay others only a little.
 */
function batchWrites({ connection }: ChannelModel): void {
  const stream: unknown = Reflect.get(connection, 'stream');
  // A private field of amqplib; without it everything works, only slower.
  if (!(stream instanceof Writable)) return;
  const write = stream.write.bind(stream);
  const bufferedWrite = (...args: unknown[]): unknown => {
    if (stream.writableCorked === 0) {
      stream.cork();
      process.nextTick(() => stream.uncork());
    }
    return Reflect.apply(write, undefined, args);
  };
  // Writable, because Node replaces it when the peer has ended.
  Object.defineProperty(stream, 'write', { value: bufferedWrite, writable: true, configurable: true });
}

/** The end of a channel ends its session: nothing continues after a channel error. */
export function watchChannel<C extends Channel>(channel: C, onEnd: (cause: Error) => void): C {
  channel.on('error', onEnd);
  channel.on('close', () => onEnd(new Error('The channel was closed')));
  return channel;
}

/**
 * Also works for a connection that is already gone, or whose broker no longer answers. The channels close first: the
 * connection's close would overtake frames that it still has to send, such as its last acks.
 */
export async function closeQuietly(connection: ChannelModel, ...channels: Channel[]): Promise<void> {
  const closed = Promise.all(channels.map(async (channel) => channel.close().catch(nothing)));
  if (channels.length > 0) await waitAtMost(closed, CLOSE_TIMEOUT_MS);
  await waitAtMost(connection.close().catch(nothing), CLOSE_TIMEOUT_MS);
}

const nothing = (): void => undefined;

function withHeartbeat(url: string): string {
  const parsed = new URL(url);
  if (!parsed.searchParams.has('heartbeat')) parsed.searchParams.set('heartbeat', String(HEARTBEAT_SECONDS));
  return parsed.href;
}
