import { type Log, waitAtMost } from '@relay/platform';
import type { Channel, ChannelModel } from 'amqplib';
import { z } from 'zod';
import { BusUnavailableError } from '../../contract/event-bus.js';
import { ConfirmedPublisher } from '../confirmed-publisher.js';
import { closeQuietly, connect } from '../connection.js';

/** For plain questions to the broker; a queue without a leader may never answer. */
const ANSWER_TIMEOUT_MS = 5_000;

/** AMQP reply codes on amqplib's errors. */
const channelError = z.object({ code: z.number() });
const NOT_FOUND = 404;
const LOCKED = 405;
const PRECONDITION_FAILED = 406;

/** The broker's answer, or why there is none. */
export type AdminReply<T> =
  | { kind: 'value'; value: T }
  | { kind: 'missing' }
  | { kind: 'locked' }
  | { kind: 'different'; detail: string }
  | { kind: 'unavailable'; detail: string };

/**
 * A connection for one admin operation. An AMQP error ends its channel, an unreachable queue ends the whole
 * connection, and a queue without a leader may not answer at all: so every request goes through `ask`, which reopens
 * what the previous one lost.
 */
export class AdminConnection {
  private connection: ChannelModel | undefined;
  private channel: Channel | undefined;

  constructor(private readonly url: string) {}

  /**
   * Closes the connection after the work, successful or not. @throws BusUnavailableError when the broker is
   * unreachable
   */
  static async during<T>(url: string, work: (broker: AdminConnection) => Promise<T>): Promise<T> {
    const broker = new AdminConnection(url);
    try {
      return await work(broker);
    } finally {
      await broker.close();
    }
  }

  /** Opens a channel that the caller closes, with an error listener attached. @throws BusUnavailableError */
  async openChannel(): Promise<Channel> {
    try {
      const channel = await (await this.open()).createChannel();
      channel.on('error', () => undefined);
      return channel;
    } catch (cause) {
      throw new BusUnavailableError('BUS_DOWN', { cause });
    }
  }

  /** @throws BusUnavailableError when the broker is unreachable */
  async request<T>(question: (channel: Channel) => Promise<T>): Promise<AdminReply<T>> {
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
      'admin',
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

/** No caller waits for a single message of a replay. */
const REPLAY_DEADLINE_MS = 10_000;

/** Publishes to existing queues on its own connection, and declares nothing. The caller closes it. */
export async function openReplayPublisher(url: string, log: Log): Promise<ConfirmedPublisher> {
  const publisher = new ConfirmedPublisher({
    url,
    name: 'replay',
    log,
    deadlineMs: REPLAY_DEADLINE_MS,
    declare: async () => undefined,
  });
  await publisher.start();
  return publisher;
}
