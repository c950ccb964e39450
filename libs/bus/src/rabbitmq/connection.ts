import amqp, { type Channel, type ChannelModel } from 'amqplib';
import { Writable } from 'node:stream';
import { waitAtMost } from '../backoff.js';
import { deferred } from '../deferred.js';

/** Seconds. A broker that is frozen, not gone, is noticed after two to three of these. */
const HEARTBEAT_SECONDS = 5;
const CONNECT_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 2_000;
/** Right after a broker's restart a quorum queue may be without a leader, and an operation on it without an answer. */
const SET_UP_TIMEOUT_MS = 60_000;

/**
 * Opens a connection and makes on it what `setUp` makes, or closes it again. `onEnd` hears of the end of the
 * connection; a listener stands on every `error` event, which would end the process otherwise.
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
  gatherWrites(connection);
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
 * amqplib writes every frame with a system call of its own. What it writes in one turn of the event loop goes out at
 * once instead: thousands of retries or acks of one portal take a small part of the time in which others wait.
 */
function gatherWrites({ connection }: ChannelModel): void {
  const stream: unknown = Reflect.get(connection, 'stream');
  // It is no public name; without it all is as before, only slower.
  if (!(stream instanceof Writable)) return;
  const write = stream.write.bind(stream);
  const gathered = (...args: unknown[]): unknown => {
    if (stream.writableCorked === 0) {
      stream.cork();
      process.nextTick(() => stream.uncork());
    }
    return Reflect.apply(write, undefined, args);
  };
  // To be written over: Node puts another one in its place when the other side has ended.
  Object.defineProperty(stream, 'write', { value: gathered, writable: true, configurable: true });
}

/** A channel that ends takes its session with it: nothing of ours goes on after a channel's error. */
export function watchChannel<C extends Channel>(channel: C, onEnd: (cause: Error) => void): C {
  channel.on('error', onEnd);
  channel.on('close', () => onEnd(new Error('The channel was closed')));
  return channel;
}

/**
 * Also of a connection that is already gone, or whose broker does not answer any more. The channel goes first: what it
 * has still to send, as its last acks, would be overtaken by the connection's own goodbye.
 */
export async function closeQuietly(connection: ChannelModel, channel?: Channel): Promise<void> {
  if (channel) await waitAtMost(channel.close().catch(nothing), CLOSE_TIMEOUT_MS);
  await waitAtMost(connection.close().catch(nothing), CLOSE_TIMEOUT_MS);
}

const nothing = (): void => undefined;

function withHeartbeat(url: string): string {
  const parsed = new URL(url);
  if (!parsed.searchParams.has('heartbeat')) parsed.searchParams.set('heartbeat', String(HEARTBEAT_SECONDS));
  return parsed.href;
}
