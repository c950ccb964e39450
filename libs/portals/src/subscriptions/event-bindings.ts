import type { DataSource, EntityManager } from 'typeorm';
import {
  ClaimLostError,
  forgetBindings,
  forgetUnchanged,
  isDue,
  type BindingClaim,
} from './event-binding-attempts.js';
import { EventBindingEntity, type BindingState, type BindingWork } from '../database/entities.js';
import { inTransaction, queryRows } from '../database/sql.js';
import { WANTED_ONLINE } from './wanted-names.js';

interface NamesOfPortal {
  memberId: string;
  names: string[];
}

/** An event that a portal does not offer may exist in its next version, or another plan. */
const RETRY_AFTER = '1 day';

const IS_CALLABLE = `kind = 'oauth' AND (portals.state = 'installed'
  OR (portals.state = 'suspended' AND suspended_until <= clock_timestamp()))`;

/** SQL: the outcome for this event is known, and there is no reason to try again. */
const IS_CURRENT = `(b.handler IS NOT DISTINCT FROM $2 AND (b.state = 'bound' OR (
  b.bound_at > clock_timestamp() - interval '${RETRY_AFTER}'
  AND b.scope <@ portals.scope AND b.scope @> portals.scope)))`;

/** SQL: the portals whose attempt is due, or only the portal `$3`. */
const isMeant = (work: BindingWork): string => `($3 = member_id OR ($3::text IS NULL AND NOT EXISTS (
  SELECT FROM portals.binding_attempts a
  WHERE a.member_id = portals.member_id AND a.work = '${work}' AND NOT ${isDue('a', '$2')})))`;

/** SQL: a consumer wants this event, and no basic event is bound instead. */
const IS_MISSED = `(
  EXISTS (SELECT FROM portals.subscriptions s WHERE s.name = b.name OR starts_with(s.name, b.name || '_'))
  OR EXISTS (SELECT FROM portals.chosen_subscriptions c, unnest(c.names) AS chosen
    WHERE c.member_id = b.member_id AND (chosen = b.name OR starts_with(chosen, b.name || '_'))))
  AND NOT EXISTS (SELECT FROM portals.event_bindings basic
    WHERE basic.member_id = b.member_id AND basic.state = 'bound' AND starts_with(b.name, basic.name || '_'))`;

/** An event that a portal does not offer to the application. */
export interface EventNotOffered {
  event: string;
  state: Exclude<BindingState, 'bound'>;
  /** The missing permission, if the portal named it. */
  permission: string | null;
}

/** The last outcome of `event.bind`. */
export interface RecordedBinding {
  handler: string;
  state: BindingState;
  boundAt: Date;
}

/** State of a portal's event bindings, for operators. */
export interface BindingReport {
  /** Number of bound events. */
  bound: number;
  /** Error code of the last attempt, if it failed. */
  error: string | null;
  nextAttemptAt: Date | null;
  /** Wanted events only. */
  notOffered: EventNotOffered[];
}

/** Results of `event.bind` at each portal, so that only missing events are bound. */
export class EventBindings {
  constructor(private readonly dataSource: DataSource) {}

  /** By event name. */
  async of(memberId: string): Promise<Map<string, RecordedBinding>> {
    const rows = await this.dataSource.manager.findBy(EventBindingEntity, { memberId });
    return new Map(rows.map(({ name, handler, state, boundAt }) => [name, { handler, state, boundAt }]));
  }

  /**
   * For each portal with the application whose attempt is due (`EventBindingAttempts`): the names that were never tried, or
   * with another handler, or were not offered a day ago or with other permissions; no entry: none. A suspended portal
   * is included when its probe is due: without bindings it sends no events, so nothing else would probe it.
   * @param names what is wanted of every portal; subscription overrides (`Subscriptions.override`) replace them
   * @param memberId only this portal, whether its attempt is due or not
   */
  async missing(
    names: readonly string[],
    handlerUrl: string,
    memberId?: string,
  ): Promise<Map<string, string[]>> {
    const rows = await queryRows<NamesOfPortal>(
      this.dataSource,
      `SELECT member_id AS "memberId", array_agg(wanted.name ORDER BY wanted.name) AS names
       FROM portals.portals JOIN portals.credentials USING (member_id)
         CROSS JOIN LATERAL (${WANTED_ONLINE}) wanted
         LEFT JOIN portals.event_bindings b USING (member_id, name)
       WHERE ${IS_CALLABLE} AND ${IS_CURRENT} IS NOT TRUE AND ${isMeant('bind')}
       GROUP BY member_id`,
      [names, handlerUrl, memberId],
    );
    return new Map(rows.map((row) => [row.memberId, row.names]));
  }

  /**
   * For each portal where everything wanted is bound: the bound names that nobody wants any more. A basic name that is
   * bound because the portal does not know a suffixed one is wanted.
   * @param names as for `missing`, and so `memberId`
   */
  async unwanted(
    names: readonly string[],
    handlerUrl: string,
    memberId?: string,
  ): Promise<Map<string, string[]>> {
    const rows = await queryRows<NamesOfPortal>(
      this.dataSource,
      `SELECT member_id AS "memberId", array_agg(b.name ORDER BY b.name) AS names
       FROM portals.portals JOIN portals.credentials USING (member_id) JOIN portals.event_bindings b USING (member_id)
       WHERE ${IS_CALLABLE} AND b.state = 'bound' AND b.handler = $2
         AND ${isMeant('unbind')} AND NOT EXISTS (
           SELECT FROM (${WANTED_ONLINE}) wanted
             LEFT JOIN portals.event_bindings there ON there.member_id = portals.member_id AND there.name = wanted.name
           WHERE wanted.name = b.name OR there.handler IS DISTINCT FROM $2
             OR (there.state = 'unknown-event' AND starts_with(wanted.name, b.name || '_')))
       GROUP BY member_id`,
      [names, handlerUrl, memberId],
    );
    return new Map(rows.map((row) => [row.memberId, row.names]));
  }

  /** The names that are wanted online of one portal, known to it or not. @param names as for `missing` */
  async wanted(names: readonly string[], memberId: string): Promise<string[]> {
    const rows = await queryRows<{ name: string }>(
      this.dataSource,
      `SELECT wanted.name FROM portals.portals CROSS JOIN LATERAL (${WANTED_ONLINE}) wanted
       WHERE member_id = $2 ORDER BY 1`,
      [names, memberId],
    );
    return rows.map(({ name }) => name);
  }

  /**
   * The portal does not have these handlers, though they are recorded: they are bound again.
   * @param recorded as read before the portal was asked: what was bound since stays
   */
  async forgetLost(memberId: string, recorded: readonly { name: string; boundAt: Date }[]): Promise<void> {
    await forgetUnchanged(this.dataSource, 'event_bindings', memberId, recorded);
  }

  /** They are no longer bound. */
  async remove(memberId: string, names: readonly string[]): Promise<void> {
    await this.dataSource.query(
      'DELETE FROM portals.event_bindings WHERE member_id = $1 AND name = ANY($2::text[])',
      [memberId, names],
    );
  }

  /** Every event name that was ever bound at some portal, sorted. */
  async names(): Promise<string[]> {
    const rows = await queryRows<{ name: string }>(
      this.dataSource,
      'SELECT DISTINCT name FROM portals.event_bindings ORDER BY name',
    );
    return rows.map(({ name }) => name);
  }

  /**
   * The portal must exist: a foreign key requires it.
   * @throws ClaimLostError if the claim is no longer valid
   */
  async save(
    memberId: string,
    name: string,
    handlerUrl: string,
    state: BindingState,
    { claim, permission }: { claim?: BindingClaim; permission?: string | undefined } = {},
  ): Promise<void> {
    await inTransaction(this.dataSource, async (manager) => {
      // In the lock order of all changes of a portal.
      await manager.query('SELECT FROM portals.portals WHERE member_id = $1 FOR KEY SHARE', [memberId]);
      if (claim) await requireClaim(manager, claim);
      await manager.query(
        `INSERT INTO portals.event_bindings (member_id, name, handler, state, scope, permission, bound_at)
         VALUES ($1, $2, $3, $4,
           coalesce($5::text[], (SELECT scope FROM portals.portals WHERE member_id = $1)), $6, clock_timestamp())
         ON CONFLICT (member_id, name) DO UPDATE SET handler = excluded.handler, state = excluded.state,
           scope = excluded.scope, permission = excluded.permission, bound_at = excluded.bound_at`,
        [memberId, name, handlerUrl, state, claim?.scope, permission],
      );
    });
  }

  /** Deletes all bindings of the portal: Bitrix24 has dropped its handlers. */
  async forget(memberId: string): Promise<void> {
    await inTransaction(this.dataSource, (manager) => forgetBindings(manager, memberId));
  }

  /** By member id; portals without an attempt have no entry. */
  async reports(): Promise<Map<string, BindingReport>> {
    const rows = await queryRows<BindingReport & { memberId: string }>(
      this.dataSource,
      `SELECT member_id AS "memberId", coalesce(known.bound, 0)::int AS bound, a.error,
         CASE WHEN a.error IS NOT NULL THEN a.next_attempt_at END AS "nextAttemptAt",
         coalesce(known."notOffered", '[]') AS "notOffered"
       FROM (
         SELECT member_id, count(*) FILTER (WHERE state = 'bound') AS bound,
           json_agg(json_build_object('event', name, 'state', state, 'permission', permission) ORDER BY name)
             FILTER (WHERE state <> 'bound' AND ${IS_MISSED}) AS "notOffered"
         FROM portals.event_bindings b GROUP BY member_id) known
       FULL JOIN (SELECT * FROM portals.binding_attempts WHERE work = 'bind') a USING (member_id)`,
    );
    return new Map(rows.map(({ memberId, ...report }) => [memberId, report]));
  }
}

/** Waits for a concurrent install, which deletes the claim. */
async function requireClaim(manager: EntityManager, { memberId, id }: BindingClaim): Promise<void> {
  const held = await queryRows(
    manager,
    'SELECT FROM portals.binding_attempts WHERE member_id = $1 AND claim = $2 FOR SHARE',
    [memberId, id],
  );
  if (held.length === 0) throw new ClaimLostError(memberId);
}
