import type { DataSource } from 'typeorm';
import { inTransaction } from './in-transaction.js';
import { announce, type Notifier } from './notifier.js';

/** Which events the consumers want: they record it at their start, the gateway binds it at the portals. */
export class Subscriptions {
  constructor(
    private readonly dataSource: DataSource,
    private readonly notifier: Notifier,
  ) {}

  /** Replaces what the consumer wanted before; announced only when that changed anything. */
  async record(consumer: string, names: readonly string[]): Promise<void> {
    await inTransaction(this.dataSource, async (manager) => {
      // Replicas start together; one after the other, neither a deadlock nor a mixture of two sets comes about.
      await manager.query(`SELECT pg_advisory_xact_lock(hashtext('portals.subscriptions'), hashtext($1))`, [
        consumer,
      ]);
      const parameters = [consumer, names];
      const [, removed] = await manager.query<[unknown[], number]>(
        'DELETE FROM portals.subscriptions WHERE consumer = $1 AND name <> ALL($2::text[])',
        parameters,
      );
      const added = await manager.query<unknown[]>(
        `INSERT INTO portals.subscriptions (consumer, name) SELECT $1, unnest($2::text[])
         ON CONFLICT DO NOTHING RETURNING name`,
        parameters,
      );
      if (removed + added.length > 0) await announce(manager, 'subscriptions', consumer);
    });
  }

  /** The consumer is no more. */
  async remove(consumer: string): Promise<void> {
    await this.record(consumer, []);
  }

  /** Every event name that some consumer wants, sorted, each once. */
  async wanted(): Promise<string[]> {
    const rows = await this.dataSource.query<{ name: string }[]>(
      'SELECT DISTINCT name FROM portals.subscriptions ORDER BY name',
    );
    return rows.map(({ name }) => name);
  }

  /** Event names that each consumer wants, sorted; consumers by name. */
  async byConsumer(): Promise<Map<string, string[]>> {
    const rows = await this.dataSource.query<{ consumer: string; names: string[] }[]>(
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
