/**
 * PostgreSQL LISTEN/NOTIFY: receives changes of other processes within milliseconds. It holds the one LISTEN connection
 * of this process, opened by the first listener and reopened whenever it is lost.
 *
 * Without the connection (not started, lost, database down) no notifications arrive and nothing else fails: the portal
 * cache uses its short TTL, `isListening()` is false, and after a reconnect every listener is called with `undefined`
 * (anything may have changed), because the notifications in between are lost.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '@relay/platform';
import { ExponentialBackoff } from 'cockatiel';
import pg from 'pg';
import type { EntityManager } from 'typeorm';

/** PostgreSQL channels; the payload is a member id or a consumer's name. */
const CHANNELS = { portals: 'relay_portals', subscriptions: 'relay_subscriptions' } as const;
export type Topic = keyof typeof CHANNELS;

/** `subject` is the member id or consumer that changed; undefined: anything may have. */
type ChangeListener = (subject: string | undefined) => void;

/** Interval of heartbeat queries, which detect a half-open connection. */
const HEARTBEAT_MS = 15_000;
const ANSWER_TIMEOUT_MS = 5_000;
const BACKOFF = new ExponentialBackoff({ initialDelay: 100, maxDelay: 5_000 });
/** Timeout of the disconnect, to which a dead connection does not respond. */
const FAREWELL_MS = 1_000;

interface PostgresListenerOptions {
  databaseUrl: string;
  log: Log;
  /** Interval of heartbeat queries. */
  heartbeatMs?: number;
  /** Timeout of a heartbeat query and of connecting. */
  answerTimeoutMs?: number;
}

export class PostgresListener {
  private readonly listeners: Record<Topic, Set<ChangeListener>> = {
    portals: new Set(),
    subscriptions: new Set(),
  };
  private readonly stopping = new AbortController();
  private running: Promise<void> | undefined;
  private listening = false;

  constructor(private readonly options: PostgresListenerOptions) {}

  /** Whether notifications arrive now. */
  isListening(): boolean {
    return this.listening;
  }

  /** Calls the listener on every change. The returned function unsubscribes. A listener must not throw. */
  on(topic: Topic, listener: ChangeListener): () => void {
    this.listeners[topic].add(listener);
    this.running ??= this.run();
    return () => this.listeners[topic].delete(listener);
  }

  /** Closes the connection; no listener is called after it. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    for (let backoff = BACKOFF.next(); !this.stopping.signal.aborted; backoff = backoff.next(undefined)) {
      try {
        await this.listen(() => (backoff = BACKOFF.next()));
      } catch (err) {
        this.options.log.warn(
          { event: 'notifications.connection.lost', err, pauseMs: Math.round(backoff.duration) },
          'the connection for notifications of the database is lost; connecting again',
        );
      }
      await pause(backoff.duration, this.stopping.signal);
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
    client.on('notification', ({ channel, payload }) => this.notify(channel, payload));
    try {
      await client.connect();
      for (const channel of Object.values(CHANNELS)) await client.query(`LISTEN ${channel}`);
      connected();
      this.listening = true;
      for (const channel of Object.values(CHANNELS)) this.notify(channel, undefined);
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

  private notify(channel: string, subject: string | undefined): void {
    const topic = channel === CHANNELS.portals ? 'portals' : 'subscriptions';
    for (const listener of this.listeners[topic]) listener(subject);
  }
}

/** Sends NOTIFY to every process; PostgreSQL delivers it only when the transaction commits. */
export async function notify(manager: EntityManager, topic: Topic, subject: string): Promise<void> {
  await manager.query('SELECT pg_notify($1, $2)', [CHANNELS[topic], subject]);
}

/** Ends early, and without an error, when the signal aborts. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
