import type { DataSource } from 'typeorm';
import { EventBindingEntity, type BindingState } from './entities.js';

/** What `event.bind` has done at each portal, so that only what is missing is bound. */
export class EventBindings {
  constructor(private readonly dataSource: DataSource) {}

  /** By event name, as it was saved. */
  async of(memberId: string): Promise<Map<string, { handler: string; state: BindingState }>> {
    const rows = await this.dataSource.manager.findBy(EventBindingEntity, { memberId });
    return new Map(rows.map(({ name, handler, state }) => [name, { handler, state }]));
  }

  /**
   * For each portal where the application is installed, which of the names were never tried, or with another handler
   * than this one; no entry: none. A suspended portal counts when its next try is due: one whose handlers are not
   * bound sends no events, so that nobody else would ever try it.
   */
  async missing(names: readonly string[], handlerUrl: string): Promise<Map<string, string[]>> {
    const rows = await this.dataSource.query<{ memberId: string; names: string[] }[]>(
      `SELECT member_id AS "memberId", array_agg(wanted.name ORDER BY wanted.name) AS names
       FROM portals.portals JOIN portals.credentials USING (member_id)
         CROSS JOIN (SELECT DISTINCT unnest($1::text[]) AS name) wanted
         LEFT JOIN portals.event_bindings b USING (member_id, name)
       WHERE (portals.state = 'installed' OR (portals.state = 'suspended' AND suspended_until <= clock_timestamp()))
         AND kind = 'oauth' AND b.handler IS DISTINCT FROM $2
       GROUP BY member_id`,
      [names, handlerUrl],
    );
    return new Map(rows.map((row) => [row.memberId, row.names]));
  }

  /**
   * For each portal where the application is installed, which handlers were bound that none of the names asks for any
   * more. A basic name that was bound because the portal does not know a suffixed one is asked for by that one.
   */
  async unwanted(names: readonly string[], handlerUrl: string): Promise<Map<string, string[]>> {
    const rows = await this.dataSource.query<{ memberId: string; names: string[] }[]>(
      `SELECT b.member_id AS "memberId", array_agg(b.name ORDER BY b.name) AS names
       FROM portals.event_bindings b JOIN portals.portals USING (member_id)
       WHERE portals.state = 'installed' AND b.state = 'bound' AND b.handler = $2 AND b.name <> ALL($1::text[])
         AND NOT EXISTS (
           SELECT FROM portals.event_bindings suffixed
           WHERE suffixed.member_id = b.member_id AND suffixed.state = 'unknown-event'
             AND suffixed.name = ANY($1::text[]) AND starts_with(suffixed.name, b.name || '_')
         )
       GROUP BY b.member_id`,
      [names, handlerUrl],
    );
    return new Map(rows.map((row) => [row.memberId, row.names]));
  }

  /** These are bound no longer. */
  async remove(memberId: string, names: readonly string[]): Promise<void> {
    await this.dataSource.query(
      'DELETE FROM portals.event_bindings WHERE member_id = $1 AND name = ANY($2::text[])',
      [memberId, names],
    );
  }

  /** Every event name that was ever bound at some portal, sorted. */
  async names(): Promise<string[]> {
    const rows = await this.dataSource.query<{ name: string }[]>(
      'SELECT DISTINCT name FROM portals.event_bindings ORDER BY name',
    );
    return rows.map(({ name }) => name);
  }

  /** The portal must be known: a binding without one has no meaning, and the database refuses it. */
  async save(memberId: string, name: string, handlerUrl: string, state: BindingState): Promise<void> {
    const row = { memberId, name, handler: handlerUrl, state, boundAt: () => 'now()' };
    await this.dataSource.manager.upsert(EventBindingEntity, row, ['memberId', 'name']);
  }

  /** All of the portal's: its handlers vanished. */
  async forget(memberId: string): Promise<void> {
    await this.dataSource.manager.delete(EventBindingEntity, { memberId });
  }
}
