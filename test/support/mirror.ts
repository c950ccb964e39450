import { isDeepStrictEqual } from 'node:util';
import pg from 'pg';
import type { SimulatedPortal } from './simulated-portal.js';

/** The mirror as people query it, and whether it equals the portal. */
export class Mirror {
  private constructor(
    private readonly client: pg.Client,
    private readonly portal: SimulatedPortal,
  ) {}

  static async of(portal: SimulatedPortal, databaseUrl: string): Promise<Mirror> {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    return new Mirror(client, portal);
  }

  async close(): Promise<void> {
    await this.client.end();
  }

  async rows(sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    const { rows } = await this.client.query<Record<string, unknown>>(sql, values);
    return rows;
  }

  /** How many items of the types are stored, and whether all of their backfills have ended. */
  async backfilled(): Promise<{ items: number; types: number; done: number }> {
    const { rows } = await this.client.query<{ items: number; types: number; done: number }>(
      `SELECT coalesce(sum(backfill_items), 0)::int AS items, count(*)::int AS types, count(backfilled_at)::int AS done
       FROM mirror.types WHERE member_id = $1 AND state = 'mirrored'`,
      [this.portal.memberId],
    );
    return rows[0] ?? { items: 0, types: 0, done: 0 };
  }

  /**
   * Ids of items that differ, one by one, all fields: missing, too much, or other. Empty: mirror and portal are equal.
   */
  async differences(entityTypeId: number): Promise<string[]> {
    const { rows } = await this.client.query<{ item_id: string; fields: Record<string, unknown> }>(
      `SELECT item_id, fields FROM mirror.items
       WHERE member_id = $1 AND entity_type_id = $2 AND deleted_at IS NULL AND hidden_at IS NULL`,
      [this.portal.memberId, entityTypeId],
    );
    const mirrored = new Map(rows.map(({ item_id: id, fields }) => [id, fields]));
    const different: string[] = [];
    for await (const item of this.portal.crm.allItems(entityTypeId)) {
      const fields = mirrored.get(String(item.id));
      mirrored.delete(String(item.id));
      if (!fields) different.push(`${item.id} is missing`);
      else if (!isDeepStrictEqual(plain(fields), plain(item))) different.push(`${item.id} is other`);
    }
    return [...different, ...[...mirrored.keys()].map((id) => `${id} is too much`)];
  }
}

/** Files by their ids alone: their addresses contain the credentials of the requesting user. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  if ('id' in value && Object.keys(value).every((key) => key === 'id' || key === 'url')) return value.id;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]));
}
