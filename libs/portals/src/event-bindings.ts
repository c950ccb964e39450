import type { DataSource } from 'typeorm';
import { EventBindingEntity, type BindingState } from './entities.js';

interface NamesOfPortal {
  memberId: string;
  names: string[];
}

interface SurplusOfPortal {
  memberId: string;
  bindings: { name: string; handler: string }[];
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

/** SQL: an event of one smart process alone, which was chosen once and is not any more. */
const isLeftOver = (name: string): string => `(${name} ~ '_[1-9][0-9]*$'
  AND NOT EXISTS (SELECT FROM portals.subscriptions s WHERE s.name = ${name})
  AND NOT EXISTS (
    SELECT FROM portals.chosen_subscriptions c WHERE c.member_id = portals.member_id AND ${name} = ANY (c.names)))`;

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
         CROSS JOIN LATERAL (
           SELECT given.name FROM unnest($1::text[]) AS given(name) WHERE NOT ${isReplaced('given.name')}
           UNION SELECT unnest(names) FROM portals.chosen_subscriptions c WHERE c.member_id = portals.member_id) wanted
         LEFT JOIN portals.event_bindings b USING (member_id, name)
       WHERE ${canBeAsked} AND b.handler IS DISTINCT FROM $2
       GROUP BY member_id`,
      [names, handlerUrl],
    );
    return new Map(rows.map((row) => [row.memberId, row.names]));
  }

  /**
   * What is bound at portals of which consumers have chosen other names, or had, and nobody wants there any more. Not at a portal
   * that does not know one of the chosen names: it sends the basic event instead.
   */
  async surplus(): Promise<Map<string, { name: string; handler: string }[]>> {
    const rows = await this.dataSource.query<SurplusOfPortal[]>(
      `SELECT member_id AS "memberId", jsonb_agg(jsonb_build_object('name', name, 'handler', handler)) AS bindings
       FROM portals.portals JOIN portals.credentials USING (member_id) JOIN portals.event_bindings b USING (member_id)
       WHERE ${canBeAsked} AND b.state = 'bound' AND (${isReplaced('b.name')} OR ${isLeftOver('b.name')})
         AND NOT EXISTS (
           SELECT FROM portals.chosen_subscriptions c
             JOIN portals.event_bindings unknown ON unknown.member_id = c.member_id AND unknown.name = ANY (c.names)
           WHERE c.member_id = portals.member_id AND unknown.state = 'unknown-event')
       GROUP BY member_id`,
    );
    return new Map(rows.map((row) => [row.memberId, row.bindings]));
  }

  /** It is bound no more. */
  async remove(memberId: string, name: string): Promise<void> {
    await this.dataSource.manager.delete(EventBindingEntity, { memberId, name });
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
