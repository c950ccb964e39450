import type pg from 'pg';
import type { DataSource } from 'typeorm';
import { inTransaction } from '../in-transaction.js';
import { announce, type Notifier } from '../store/notifier.js';
import { countChanged, queryRows } from '../store/sql.js';

/** One event name that a consumer wants, and from when on: older events are nothing that it missed. */
export interface ActiveSubscription {
  consumer: string;
  name: string;
  since: Date;
}

const ACTIVE_SQL = `
  SELECT consumer, name, since FROM portals.subscriptions WHERE drained_at IS NULL ORDER BY consumer, name`;

/** As {@link Subscriptions.active}, for who has no more than a connection. */
export async function activeSubscriptions(database: Pick<pg.Pool, 'query'>): Promise<ActiveSubscription[]> {
  return (await database.query<ActiveSubscription>(ACTIVE_SQL)).rows;
}

/** Which events the consumers want: they record it at their start, the gateway binds it at the portals. */
export class Subscriptions {
  constructor(
    private readonly dataSource: DataSource,
    private readonly notifier: Pick<Notifier, 'on'>,
  ) {}

  /** Replaces what the consumer wanted before; announced only when that changed anything. */
  async record(consumer: string, names: readonly string[]): Promise<void> {
    await inTransaction(this.dataSource, async (manager) => {
      // Replicas start together; one after the other, neither a deadlock nor a mixture of two sets comes about.
      // Not an advisory lock, which any user of the database may take. Who reads does not wait.
      await manager.query('LOCK TABLE portals.subscriptions IN SHARE ROW EXCLUSIVE MODE');
      const parameters = [consumer, names];
      // It was to get no more until it is started again; what came meanwhile was not meant for it.
      await manager.query(
        'UPDATE portals.subscriptions SET drained_at = NULL, since = now() WHERE consumer = $1 AND drained_at IS NOT NULL',
        [consumer],
      );
      const removed = await countChanged(
        manager,
        'DELETE FROM portals.subscriptions WHERE consumer = $1 AND name <> ALL($2::text[])',
        parameters,
      );
      const added = await queryRows(
        manager,
        `INSERT INTO portals.subscriptions (consumer, name) SELECT $1, unnest($2::text[])
         ON CONFLICT DO NOTHING RETURNING name`,
        parameters,
      );
      if (removed + added.length > 0) await announce(manager, 'subscriptions', consumer);
    });
  }

  /**
   * From now on the consumer's queues are not made anew when they are gone; it is about to be cut off from its events, or
   * removed. Its next start ends that, or `undrain`.
   * @returns whether that was not so before
   */
  async drain(consumer: string): Promise<boolean> {
    const drained = await countChanged(
      this.dataSource,
      'UPDATE portals.subscriptions SET drained_at = now() WHERE consumer = $1 AND drained_at IS NULL',
      [consumer],
    );
    return drained > 0;
  }

  /** It was not cut off after all. */
  async undrain(consumer: string): Promise<void> {
    await this.dataSource.query('UPDATE portals.subscriptions SET drained_at = NULL WHERE consumer = $1', [
      consumer,
    ]);
  }

  /** What the bus must have queues for: of every consumer that is not being drained. */
  async active(): Promise<ActiveSubscription[]> {
    return queryRows<ActiveSubscription>(this.dataSource, ACTIVE_SQL);
  }

  /** The consumer is no more. */
  async remove(consumer: string): Promise<void> {
    await this.dataSource.query('DELETE FROM portals.chosen_subscriptions WHERE consumer = $1', [consumer]);
    await this.record(consumer, []);
  }

  /**
   * What the consumer wants of this portal, in place of what it recorded for all; undefined: the same as of all. Of names
   * that a portal does not offer it gets the basic event all the same.
   * @throws QueryFailedError for a portal that is unknown
   */
  async override(consumer: string, memberId: string, names: readonly string[] | undefined): Promise<void> {
    await inTransaction(this.dataSource, async (manager) => {
      const [chosen] = await queryRows<{ names: string[] }>(
        manager,
        'SELECT names FROM portals.chosen_subscriptions WHERE member_id = $1 AND consumer = $2 FOR UPDATE',
        [memberId, consumer],
      );
      if (JSON.stringify(chosen?.names) === JSON.stringify(names)) return;
      await (names
        ? manager.query(
            `INSERT INTO portals.chosen_subscriptions (member_id, consumer, names) VALUES ($1, $2, $3)
             ON CONFLICT (member_id, consumer) DO UPDATE SET names = excluded.names`,
            [memberId, consumer, names],
          )
        : manager.query('DELETE FROM portals.chosen_subscriptions WHERE member_id = $1 AND consumer = $2', [
            memberId,
            consumer,
          ]));
      await announce(manager, 'subscriptions', consumer);
    });
  }

  /** Every event name that some consumer wants, sorted, each once. */
  async wanted(): Promise<string[]> {
    const rows = await queryRows<{ name: string }>(
      this.dataSource,
      'SELECT DISTINCT name FROM portals.subscriptions ORDER BY name',
    );
    return rows.map(({ name }) => name);
  }

  /** Event names that each consumer wants, sorted; consumers by name. */
  async byConsumer(): Promise<Map<string, string[]>> {
    const rows = await queryRows<{ consumer: string; names: string[] }>(
      this.dataSource,
      `SELECT consumer, array_agg(name ORDER BY name) AS names FROM portals.subscriptions
       GROUP BY consumer ORDER BY consumer`,
    );
    return new Map(rows.map(({ consumer, names }) => [consumer, names]));
  }

  /**
   * Calls the listener when `wanted()` may have changed, here or in another process, and whenever the connection that
   * hears of it is made anew. Returns the function that ends it. A listener must not throw.
   */
  onChange(listener: () => void): () => void {
    return this.notifier.on('subscriptions', () => listener());
  }
}
