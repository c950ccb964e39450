import type { Log } from '@relay/platform';
import type { Channel, ConfirmChannel, Options } from 'amqplib';
import type { BusHealth } from '../connection/connection-report.js';
import { ConnectionReport } from '../connection/connection-report.js';
import { Reconnector, type Session } from '../connection/reconnector.js';
import { BusUnavailableError, type BusUnavailableCode } from '../contract/event-bus.js';
import { closeQuietly, connect, watchChannel } from './connection.js';

export interface OutgoingMessage {
  exchange: string;
  routingKey: string;
  content: Buffer;
  messageId?: string;
  headers?: Record<string, string | number>;
}

export interface PublisherOptions {
  url: string;
  /** For the log and the broker's list of connections. */
  name: string;
  log: Log;
  busHealth?: BusHealth | undefined;
  deadlineMs: number;
  /** Declares what is published to, at every connect. */
  declare: (channel: Channel) => Promise<void>;
}

interface PublishSession extends Session {
  channel: ConfirmChannel;
  blocked: boolean;
  /** Publishes that wait for their confirm, by correlation id. */
  pending: Map<string, (rejection?: BusUnavailableError) => void>;
  /** Messages sent and not confirmed by the broker, including those whose deadline has passed. */
  unconfirmed: number;
}

/** A frozen broker must not fill this process's memory before the heartbeat timeout. */
const MAX_UNCONFIRMED = 20_000;

/** Publishes on its own connection; a publish resolves when the broker has confirmed the message. */
export class ConfirmedPublisher {
  readonly #sessions: Reconnector<PublishSession>;
  #published = 0;

  constructor(private readonly options: PublisherOptions) {
    this.#sessions = new Reconnector({
      report: new ConnectionReport({ ...options, address: 'AMQP_URL' }),
      open: (onEnd) => openSession(options, onEnd),
    });
  }

  start(): Promise<void> {
    return this.#sessions.start();
  }

  isReady(): boolean {
    return this.#sessions.current?.blocked === false;
  }

  close(): Promise<void> {
    return this.#sessions.close();
  }

  /** @throws BusUnavailableError at once when the broker is down or blocks publishers, else at the deadline. */
  publish(message: OutgoingMessage, deadlineMs = this.options.deadlineMs): Promise<void> {
    const session = this.#sessions.current;
    if (!session) return unavailable('BUS_DOWN', this.#sessions.lastCause);
    if (session.blocked) return unavailable('BUS_BLOCKED');
    if (session.unconfirmed >= MAX_UNCONFIRMED) return unavailable('BUS_OVERLOADED');
    const correlationId = String(++this.#published);
    return new Promise((resolve, reject) => {
      const complete = (rejection?: BusUnavailableError): void => {
        clearTimeout(deadline);
        session.pending.delete(correlationId);
        if (rejection) reject(rejection);
        else resolve();
      };
      const deadline = setTimeout(() => complete(new BusUnavailableError('BUS_TIMEOUT')), deadlineMs);
      session.pending.set(correlationId, complete);
      try {
        send(session, message, correlationId, complete);
      } catch (cause) {
        complete(new BusUnavailableError('BUS_DOWN', { cause }));
      }
    });
  }
}

function send(
  session: PublishSession,
  { exchange, routingKey, content, messageId, headers }: OutgoingMessage,
  correlationId: string,
  complete: (rejection?: BusUnavailableError) => void,
): void {
  const properties: Options.Publish = {
    persistent: true,
    mandatory: true,
    contentType: 'application/json',
    messageId,
    correlationId,
    headers,
  };
  session.channel.publish(exchange, routingKey, content, properties, (cause: Error | null) => {
    session.unconfirmed -= 1;
    complete(cause ? new BusUnavailableError('BUS_REFUSED', { cause }) : undefined);
  });
  session.unconfirmed += 1;
}

function unavailable(code: BusUnavailableCode, cause?: Error): Promise<never> {
  return Promise.reject(new BusUnavailableError(code, { cause }));
}

function openSession(options: PublisherOptions, onEnd: (cause: Error) => void): Promise<PublishSession> {
  return connect(options.url, options.name, onEnd, async (connection) => {
    const channel = watchChannel(await connection.createConfirmChannel(), onEnd);
    await options.declare(channel);
    const session: PublishSession = {
      channel,
      blocked: false,
      pending: new Map(),
      unconfirmed: 0,
      close: () => closeQuietly(connection, channel),
    };
    // `mandatory`: a message that no queue took is returned, and then confirmed all the same.
    channel.on('return', ({ fields, properties }) => {
      const cause = new Error(`No queue takes messages of ${fields.exchange || 'the default exchange'}`);
      session.pending.get(String(properties.correlationId))?.(
        new BusUnavailableError('BUS_REFUSED', { cause }),
      );
      // A declared queue or exchange was deleted; the next session declares it again.
      onEnd(cause);
    });
    connection.on('blocked', () => {
      session.blocked = true;
      for (const complete of session.pending.values()) complete(new BusUnavailableError('BUS_BLOCKED'));
    });
    connection.on('unblocked', () => {
      session.blocked = false;
    });
    return session;
  });
}
