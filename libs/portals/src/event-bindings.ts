import type { DataSource } from 'typeorm';
import { EventBindingEntity, type BindingState } from './entities.js';

interface NamesOfPortal {
  memberId: string;
  names: string[];
}

const canBeAsked = `kind = 'oauth' AND (portals.state = 'installed'
  OR (portals.state = 'suspended' AND suspended_until <= clock_timestamp()))`;

/**
 * SQL: all consumers that want this name of every portal have chosen others at this one. A name that none of them wants, such
 * as the gateway's own, is nobody's to choose away.
 */
const isReplaced = (
  name: string,
): string => `(EXISTS (SELECT FROM portals.subscriptions s WHERE s.name = ${name})
  AND NOT EXISTS (
    SELECT FROM portals.subscriptions s
      LEFT JOIN portals.chosen_subscriptions c ON c.consumer = s.consumer AND c.member_id = portals.member_id
    WHERE s.name = ${name} AND (c.names IS NULL OR ${name} = ANY (c.names))))`;

/** SQL: what is wanted of a portal, of the names `$1` that are wanted of every one. */
const wantedThere = `
  SELECT given.name FROM unnest($1::text[]) AS given(name) WHERE NOT ${isReplaced('given.name')}
  UNION SELECT unnest(names) FROM portals.chosen_subscriptions c WHERE c.member_id = portals.member_id`;

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
   * @param names what is wanted of every portal; where a consumer has chosen others (`Subscriptions.choose`), those
   */
  async missing(names: readonly string[], handlerUrl: string): Promise<Map<string, string[]>> {
    const rows = await this.dataSource.query<NamesOfPortal[]>(
      `SELECT member_id AS "memberId", array_agg(wanted.name ORDER BY wanted.name) AS names
       FROM portals.portals JOIN portals.credentials USING (member_id)
         CROSS JOIN LATERAL (${wantedThere}) wanted
         LEFT JOIN portals.event_bindings b USING (member_id, name)
       WHERE ${canBeAsked} AND b.handler IS DISTINCT FROM $2
       GROUP BY member_id`,
      [names, handlerUrl],
    );
    return new Map(rows.map((row) => [row.memberId, row.names]));
  }

  /**
   * For each portal where all that is wanted is bound, which handlers were bound beside that nobody asks for any more. A
   * basic name that was bound because the portal does not know a suffixed one is asked for by that one.
   * @param names as for `missing`
   */
  async unwanted(names: readonly string[], handlerUrl: string): Promise<Map<string, string[]>> {
    const rows = await this.dataSource.query<NamesOfPortal[]>(
      `SELECT member_id AS "memberId", array_agg(b.name ORDER BY b.name) AS names
       FROM portals.portals JOIN portals.credentials USING (member_id) JOIN portals.event_bindings b USING (member_id)
       WHERE ${canBeAsked} AND b.state = 'bound' AND b.handler = $2
         AND NOT EXISTS (
           SELECT FROM (${wantedThere}) wanted
             LEFT JOIN portals.event_bindings there ON there.member_id = portals.member_id AND there.name = wanted.name
           WHERE wanted.name = b.name OR there.handler IS DISTINCT FROM $2
             OR (there.state = 'unknown-event' AND starts_with(wanted.name, b.name || '_')))
       GROUP BY member_id`,
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
