import type { Channel, ChannelModel } from 'amqplib';
import { z } from 'zod';
import { waitAtMost } from '../../backoff.js';
import { BusUnavailableError } from '../../event-bus.js';
import { closeQuietly, connect } from '../connection.js';

/** For what the broker has to look up only; a queue without a leader may take for ever. */
const ANSWER_TIMEOUT_MS = 5_000;

/** AMQP's reply codes, on the errors of amqplib. */
const channelError = z.object({ code: z.number() });
const NOT_FOUND = 404;
const LOCKED = 405;
const PRECONDITION_FAILED = 406;

/** What the broker said, or why it did not. */
export type AdminReply<T> =
  | { kind: 'value'; value: T }
  | { kind: 'missing' }
  | { kind: 'locked' }
  | { kind: 'different'; detail: string }
  | { kind: 'unavailable'; detail: string };

/**
 * A connection for one look at the broker. An error of AMQP ends its channel, a queue that cannot be reached ends the
 * whole connection, and one without a leader may not answer at all: so every question goes through `ask`, and what it
 * cost is made anew for the next.
 */
export class AdminConnection {
  private connection: ChannelModel | undefined;
  private channel: Channel | undefined;

  constructor(private readonly url: string) {}

  /** Closes it again, whatever came of the work. @throws BusUnavailableError when the broker cannot be reached */
  static async during<T>(url: string, work: (broker: AdminConnection) => Promise<T>): Promise<T> {
    const broker = new AdminConnection(url);
    try {
      return await work(broker);
    } finally {
      await broker.close();
    }
  }

  /** One that the caller closes; a listener stands on its errors. @throws BusUnavailableError */
  async openChannel(): Promise<Channel> {
    try {
      const channel = await (await this.open()).createChannel();
      channel.on('error', () => undefined);
      return channel;
    } catch (cause) {
      throw new BusUnavailableError('BUS_DOWN', { cause });
    }
  }

  /** @throws BusUnavailableError when the broker cannot be reached at all */
  async ask<T>(question: (channel: Channel) => Promise<T>): Promise<AdminReply<T>> {
    const channel = (this.channel ??= await this.openChannel());
    const asked = question(channel).then(
      (value): AdminReply<T> => ({ kind: 'value', value }),
      (error: unknown) => explain<T>(error),
    );
    const answer = (await waitAtMost(asked, ANSWER_TIMEOUT_MS)) ?? {
      kind: 'unavailable',
      detail: `no answer within ${ANSWER_TIMEOUT_MS / 1_000} s`,
    };
    if (answer.kind === 'unavailable') await this.close();
    if (answer.kind !== 'value') this.channel = undefined;
    return answer;
  }

  async close(): Promise<void> {
    const connection = this.connection;
    this.connection = undefined;
    this.channel = undefined;
    if (connection) await closeQuietly(connection);
  }

  private async open(): Promise<ChannelModel> {
    if (this.connection) return this.connection;
    const connection = await connect(
      this.url,
      'care',
      () => {
        if (this.connection !== connection) return;
        this.connection = undefined;
        this.channel = undefined;
      },
      async (made) => made,
    );
    this.connection = connection;
    return connection;
  }
}

function explain<T>(error: unknown): AdminReply<T> {
  const code = channelError.safeParse(error).data?.code;
  const detail = error instanceof Error ? error.message : String(error);
  if (code === NOT_FOUND) return { kind: 'missing' };
  if (code === LOCKED) return { kind: 'locked' };
  if (code === PRECONDITION_FAILED) return { kind: 'different', detail };
  return { kind: 'unavailable', detail };
}
