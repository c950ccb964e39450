/**
 * Responsible for hearing, within milliseconds, what another process changed in the database: it keeps the one
 * LISTEN connection of this process, made when the first listener asks and made again whenever it is lost.
 *
 * When it is not there (not started, connection lost, database down), nothing is announced and nothing else breaks:
 * the directory lives on its short TTL, `isListening()` says so, and as soon as the connection is back every listener
 * is told that anything may have changed, since announcements of the time between are gone.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '@relay/platform';
import pg from 'pg';
import type { EntityManager } from 'typeorm';

/** PostgreSQL channels; each announcement carries a member id or a consumer's name. */
const CHANNELS = { portals: 'relay_portals', subscriptions: 'relay_subscriptions' } as const;
export type Topic = keyof typeof CHANNELS;

/** `subject` is the member id or consumer that changed; undefined: anything may have. */
export type ChangeListener = (subject: string | undefined) => void;

/** A half-open connection hears nothing and says nothing: only asking finds it out. */
const HEARTBEAT_MS = 15_000;
const ANSWER_TIMEOUT_MS = 5_000;
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;
/** A dead connection does not answer a good-bye. */
const FAREWELL_MS = 1_000;

export interface NotifierOptions {
  databaseUrl: string;
  log: Log;
  /** Time between two questions whether the connection is alive. */
  heartbeatMs?: number;
  /** Time for the answer to one, and for connecting. */
  answerTimeoutMs?: number;
}

export class Notifier {
  private readonly listeners: Record<Topic, Set<ChangeListener>> = {
    portals: new Set(),
    subscriptions: new Set(),
  };
  private readonly stopping = new AbortController();
  private running: Promise<void> | undefined;
  private listening = false;

  constructor(private readonly options: NotifierOptions) {}

  /** Whether announcements arrive now. */
  isListening(): boolean {
    return this.listening;
  }

  /** Calls the listener on every change until the function that it returns is called. A listener must not throw. */
  on(topic: Topic, listener: ChangeListener): () => void {
    this.listeners[topic].add(listener);
    this.running ??= this.run();
    return () => this.listeners[topic].delete(listener);
  }

  /** Closes the connection; nothing is announced after it. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    for (let pauseMs = FIRST_PAUSE_MS; !this.stopping.signal.aborted;) {
      try {
        await this.listen(() => (pauseMs = FIRST_PAUSE_MS));
      } catch (err) {
        this.options.log.warn(
          { err, pauseMs },
          'not listening for changes in the database; connecting again',
        );
      }
      await pause(pauseMs, this.stopping.signal);
      pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS);
    }
  }

  /** Returns when asked to stop; throws when the connection cannot be made or is lost. */
  private async listen(connected: () => void): Promise<void> {
    const timeoutMs = this.options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS;
    const client = new pg.Client({
      connectionString: this.options.databaseUrl,
      application_name: 'b24-relay listener',
      keepAlive: true,
      connectionTimeoutMillis: timeoutMs,
      query_timeout: timeoutMs,
    });
    const lost = new AbortController();
    client.on('error', (error) => lost.abort(error));
    client.on('end', () => lost.abort(new Error('The connection for LISTEN has ended')));
    client.on('notification', ({ channel, payload }) => this.announce(channel, payload));
    try {
      await client.connect();
      for (const channel of Object.values(CHANNELS)) await client.query(`LISTEN ${channel}`);
      connected();
      this.listening = true;
      for (const channel of Object.values(CHANNELS)) this.announce(channel, undefined);
      await this.keepAsking(client, lost.signal);
    } finally {
      this.listening = false;
      await Promise.race([client.end(), delay(FAREWELL_MS, undefined, { ref: false })]);
    }
  }

  private async keepAsking(client: pg.Client, lost: AbortSignal): Promise<void> {
    const over = AbortSignal.any([this.stopping.signal, lost]);
    while (!over.aborted) {
      await client.query('SELECT 1');
      await pause(this.options.heartbeatMs ?? HEARTBEAT_MS, over);
    }
    lost.throwIfAborted();
  }

  private announce(channel: string, subject: string | undefined): void {
    const topic = channel === CHANNELS.portals ? 'portals' : 'subscriptions';
    for (const listener of this.listeners[topic]) listener(subject);
  }
}

/** Announces a change to every process; PostgreSQL delivers it when the transaction commits, and only then. */
export async function announce(manager: EntityManager, topic: Topic, subject: string): Promise<void> {
  await manager.query('SELECT pg_notify($1, $2)', [CHANNELS[topic], subject]);
}

/** Ends early, and without an error, when the signal aborts. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
