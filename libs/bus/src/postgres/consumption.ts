import type { BusHealth } from '../bus-health.js';
import { ConnectionReport } from '../connection-report.js';
import type { Consumption, ConsumeOptions } from '../event-bus.js';
import { NewerMessages } from '../newer-messages.js';
import { Reconnector } from '../reconnector.js';
import { ConsumeSession, type SessionOptions } from './consume-session.js';
import { subscribe } from './subscriptions.js';

/** One consumer of this process: a session that takes its shards' messages, reopened whenever it ends. */
export class PostgresConsumption implements Consumption {
  private readonly sessions: Reconnector<ConsumeSession>;
  /**
   * Subscribes once per start: a reconnect must not undo what a newer version of the consumer has subscribed since.
   */
  private subscribed = false;

  private readonly newerMessages: NewerMessages;

  constructor(
    url: string,
    names: ConsumeOptions['names'],
    options: Omit<SessionOptions, 'newer'>,
    busHealth?: BusHealth,
  ) {
    this.newerMessages = new NewerMessages(options.consumer, options.log);
    const session = { ...options, newer: this.newerMessages };
    this.sessions = new Reconnector({
      report: new ConnectionReport({
        name: `consume ${options.consumer}`,
        address: 'DATABASE_URL',
        log: options.log,
        busHealth,
      }),
      open: (onEnd) =>
        ConsumeSession.open(url, session, onEnd, async (client) => {
          if (!this.subscribed) await subscribe(client, options.consumer, names);
          this.subscribed = true;
        }),
    });
  }

  /** Resolves when the subscription is stored. */
  async start(signal?: AbortSignal): Promise<void> {
    await this.sessions.start();
    await this.sessions.opened(signal);
  }

  isReady(): boolean {
    return this.sessions.current !== undefined;
  }

  newer(): number {
    return this.newerMessages.count;
  }

  stop(): Promise<void> {
    return this.sessions.close();
  }
}
