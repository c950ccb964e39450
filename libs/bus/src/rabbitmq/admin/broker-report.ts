import { deferred, waitAtMost } from '@relay/platform';
import { z } from 'zod';
import { BusUnavailableError } from '../../contract/event-bus.js';
import { connect, closeQuietly } from '../connection.js';

/** What a broker tells about itself without its management plugin. */
export interface BrokerReport {
  /** Such as `4.1.2`; `unknown` if it is no RabbitMQ. */
  version: string;
  /** Why it accepts no message now, such as `low on memory`; undefined if it accepts messages. */
  alarm: string | undefined;
}

const TIMEOUT_MS = 5_000;
const serverProperties = z.object({
  serverProperties: z.object({ version: z.string().catch('unknown') }),
});
/** No queue has this name: the message that asks for an alarm is dropped. */
const NO_QUEUE = 'b24.nobody';

/**
 * Connects and publishes one message to nobody: a broker in alarm says so only to those who publish, and then reads
 * nothing more from them, so the request behind the message is not answered.
 * @throws amqplib's errors, BusUnavailableError BUS_TIMEOUT
 */
export async function inspectBroker(url: string): Promise<BrokerReport> {
  const ended = deferred<never>();
  ended.promise.catch(() => undefined);
  const connection = await connect(url, 'doctor', ended.reject, async (made) => made);
  try {
    const alarm = deferred<string>();
    connection.on('blocked', (reason: unknown) => alarm.resolve(String(reason).slice(0, 200)));
    const channel = await connection.createChannel();
    channel.on('error', ended.reject);
    channel.publish('', NO_QUEUE, Buffer.alloc(0));
    const answered = channel.checkExchange('amq.direct').then(() => undefined);
    answered.catch(() => undefined);
    const outcome = await waitAtMost(
      Promise.race([alarm.promise, answered, ended.promise]).then((reason) => ({ reason })),
      TIMEOUT_MS,
    );
    if (!outcome) throw new BusUnavailableError('BUS_TIMEOUT');
    const properties = serverProperties.safeParse(connection.connection);
    return {
      version: properties.success ? properties.data.serverProperties.version : 'unknown',
      alarm: outcome.reason,
    };
  } finally {
    await closeQuietly(connection);
  }
}
