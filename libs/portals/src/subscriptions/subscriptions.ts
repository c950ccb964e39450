import type pg from 'pg';
import type { DataSource } from 'typeorm';
import { countChanged, inTransaction, queryRows } from '../database/sql.js';
import { notify, type PostgresListener } from '../database/postgres-listener.js';
import { WANTED_OF_PORTAL } from './wanted-names.js';

/** One event name of a consumer; it has not missed events before `since`. */
interface ActiveSubscription {
  consumer: string;
  name: string;
  since: Date;
}

const ACTIVE_SQL = `
  SELECT consumer, name, since FROM portals.subscriptions WHERE drained_at IS NULL ORDER BY consumer, name`;

/** As {@link Subscriptions.active}, for callers with a plain `pg` pool. */
export async function activeSubscriptions(database: Pick<pg.Pool, 'query'>): Promise<ActiveSubscription[]> {
  return (await database.query<ActiveSubscription>(ACTIVE_SQL)).rows;
}

/** The events that consumers want: recorded by each at its start, bound at the portals. */
export class Subscriptions {
  constructor(
    private readonly dataSource: DataSource,
    private readonly postgresListener: Pick<PostgresListener, 'on'>,
  ) {}

  /** Replaces the consumer's subscriptions; notifies only of a change. */
  async record(consumer: string, names: readonly string[]): Promise<void> {
    await inTransaction(this.dataSource, async (manager) => {
      // Replicas start together: serialized, they cause neither a deadlock nor a mixture of two sets. Not an advisory
      // lock, which any user of the database may take. Readers do not wait.
      await manager.query('LOCK TABLE portals.subscriptions IN SHARE ROW EXCLUSIVE MODE');
      const parameters = [consumer, names];
      // A drained consumer gets no events until its next start; it has not missed those in between.
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
      if (removed + added.length > 0) await notify(manager, 'subscriptions', consumer);
    });
  }

  /**
   * Its queues are no longer recreated, because the consumer is about to be retired. Ended by its next start, or `undrain`.
   * @returns false if it was draining already
   */
  async drain(consumer: string): Promise<boolean> {
    const drained = await countChanged(
      this.dataSource,
      'UPDATE portals.subscriptions SET drained_at = now() WHERE consumer = $1 AND drained_at IS NULL',
      [consumer],
    );
    return drained > 0;
  }

  /** The consumer was not retired. */
  async undrain(consumer: string): Promise<void> {
    await this.dataSource.query('UPDATE portals.subscriptions SET drained_at = NULL WHERE consumer = $1', [
      consumer,
    ]);
  }

  /** Subscriptions for which the bus must have queues: those of consumers that are not draining. */
  async active(): Promise<ActiveSubscription[]> {
    return queryRows<ActiveSubscription>(this.dataSource, ACTIVE_SQL);
  }

  /** Deletes a retired consumer's subscriptions and overrides. */
  async remove(consumer: string): Promise<void> {
    await this.dataSource.query('DELETE FROM portals.chosen_subscriptions WHERE consumer = $1', [consumer]);
    await this.record(consumer, []);
  }

  /**
   * Subscription override: the consumer's names at this portal, instead of its subscriptions; undefined removes it. For
   * a suffixed name that a portal does not offer, the basic event is bound.
   * @throws QueryFailedError for an unknown portal
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
      await notify(manager, 'subscriptions', consumer);
    });
  }

  /** Distinct event names of all consumers, sorted. */
  async wanted(): Promise<string[]> {
    const rows = await queryRows<{ name: string }>(
      this.dataSource,
      'SELECT DISTINCT name FROM portals.subscriptions ORDER BY name',
    );
    return rows.map(({ name }) => name);
  }

  /** Distinct event names that are wanted of this portal, overrides included, sorted. */
  async wantedAt(memberId: string): Promise<string[]> {
    const rows = await queryRows<{ name: string }>(
      this.dataSource,
      `SELECT wanted.name FROM portals.portals, LATERAL (${WANTED_OF_PORTAL}) wanted
       WHERE portals.member_id = $2 ORDER BY wanted.name`,
      [await this.wanted(), memberId],
    );
    return rows.map(({ name }) => name);
  }

  /** Sorted event names by consumer; consumers by name. */
  async byConsumer(): Promise<Map<string, string[]>> {
    const rows = await queryRows<{ consumer: string; names: string[] }>(
      this.dataSource,
      `SELECT consumer, array_agg(name ORDER BY name) AS names FROM portals.subscriptions
       GROUP BY consumer ORDER BY consumer`,
    );
    return new Map(rows.map(({ consumer, names }) => [consumer, names]));
  }

  /**
   * Calls the listener when subscriptions may have changed, in any process, and after each reconnect.
   * The returned function unsubscribes. A listener must not throw.
   */
  onChange(listener: () => void): () => void {
    return this.postgresListener.on('subscriptions', () => listener());
  }
}
