import type { OfflineAccess } from '@relay/bitrix24';
import type { DataSource, EntityManager } from 'typeorm';
import { OfflineBindingEntity, type DeliveryMode, type OfflineBindingState } from '../database/entities.js';
import { notInstalled } from '../database/errors.js';
import { notify } from '../database/postgres-listener.js';
import { countChanged, inTransaction, queryRows } from '../database/sql.js';
import { forgetUnchanged, isDue } from './event-binding-attempts.js';
import { WANTED_OFFLINE } from './wanted-names.js';

/** A plan may change, another administrator may open the application, and a portal may learn an event. */
const RETRY_AFTER = '1 day';

/** What the attempts of this work are recorded for: there is no handler address. */
export const OFFLINE_HANDLER = 'offline';

/** SQL: the wanted names of which no outcome is known, or that are to be tried again. */
const MISSING = `
  SELECT wanted.name FROM (${WANTED_OFFLINE}) wanted
    LEFT JOIN portals.offline_bindings b ON b.member_id = portals.member_id AND b.name = wanted.name
  WHERE b.name IS NULL OR (b.state = 'unknown-event' AND b.bound_at <= clock_timestamp() - interval '${RETRY_AFTER}')`;

/** SQL: bound names that nobody wants. A basic name that is bound instead of an unknown suffixed one is wanted. */
const UNWANTED = `
  SELECT b.name FROM portals.offline_bindings b
  WHERE b.member_id = portals.member_id AND b.state = 'bound' AND NOT EXISTS (
    SELECT FROM (${WANTED_OFFLINE}) wanted
      LEFT JOIN portals.offline_bindings other ON other.member_id = portals.member_id AND other.name = wanted.name
    WHERE wanted.name = b.name OR (other.state = 'unknown-event' AND starts_with(wanted.name, b.name || '_')))`;

/** SQL: handlers are bound with another connector than the plan allows, or asks for. */
const IS_OTHER_CONNECTOR = `EXISTS (SELECT FROM portals.offline_access a
  WHERE a.member_id = portals.member_id AND a.has_connector <> (a.connector <> '')
    AND portals.delivery_mode <> 'online'
    AND EXISTS (SELECT FROM portals.offline_bindings b WHERE b.member_id = a.member_id AND b.state = 'bound'))`;

/** SQL: the last answer was that the stored pair is no administrator's; asked again daily. */
const LACKS_ADMINISTRATOR = `EXISTS (SELECT FROM portals.offline_access a WHERE a.member_id = portals.member_id
  AND NOT a.is_administrator AND a.checked_at > clock_timestamp() - interval '${RETRY_AFTER}')`;

const IS_CALLABLE = `kind = 'oauth' AND portals.state = 'installed'`;

/** How a portal delivers, for operators. */
export interface DeliveryReport {
  /** As it was set, or the default `both`; without a reader or an administrator's pair `both` is as `online`. */
  mode: DeliveryMode;
  /** Number of events that are bound offline. */
  bound: number;
  /** Null if the portal was not asked yet. */
  isAdministrator: boolean | null;
  canReserve: boolean | null;
}

/** What to change at a portal. */
export interface OfflinePlan {
  missing: string[];
  unwanted: string[];
  /** As recorded. */
  bound: string[];
  /** With which they are bound; empty for none. */
  connector: string;
  /** They are to be bound with another one, since the plan of the portal has changed. */
  isOtherConnector: boolean;
}

/** Delivery mode of each portal, and the handlers of its offline queue. */
export class OfflineBindings {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * @param transaction of the caller, which this becomes a part of
   * @throws Bitrix24Error NOT_INSTALLED for an unknown portal, and for one without the application unless it is `online`
   */
  async setMode(memberId: string, mode: DeliveryMode, transaction?: EntityManager): Promise<void> {
    const set = async (manager: EntityManager): Promise<void> => {
      const changed = await countChanged(
        manager,
        `UPDATE portals.portals SET delivery_mode = $2, updated_at = now() WHERE member_id = $1
           AND ($2 = 'online' OR EXISTS (SELECT FROM portals.credentials c WHERE c.member_id = $1 AND c.kind = 'oauth'))`,
        [memberId, mode],
      );
      if (changed === 0) throw notInstalled(memberId);
      // What failed before says nothing about the new mode. The rest is needed for the handlers that are bound.
      await manager.query(
        'DELETE FROM portals.offline_access WHERE member_id = $1 AND NOT is_administrator',
        [memberId],
      );
      await manager.query(`DELETE FROM portals.binding_attempts WHERE member_id = $1 AND work = 'offline'`, [
        memberId,
      ]);
      await notify(manager, 'portals', memberId);
    };
    await (transaction ? set(transaction) : inTransaction(this.dataSource, set));
  }

  /** Portals whose offline handlers differ from what is wanted, and whose attempt is due. @param names as for `EventBindings.missing` */
  async due(names: readonly string[]): Promise<string[]> {
    const rows = await queryRows<{ memberId: string }>(
      this.dataSource,
      `SELECT member_id AS "memberId" FROM portals.portals JOIN portals.credentials USING (member_id)
       WHERE ${IS_CALLABLE} AND NOT ${LACKS_ADMINISTRATOR} AND (EXISTS (${MISSING}) OR EXISTS (${UNWANTED}) OR ${IS_OTHER_CONNECTOR})
         AND NOT EXISTS (SELECT FROM portals.binding_attempts a
           WHERE a.member_id = portals.member_id AND a.work = 'offline' AND NOT ${isDue('a', '$2')})
       ORDER BY member_id`,
      [names, OFFLINE_HANDLER],
    );
    return rows.map(({ memberId }) => memberId);
  }

  /** What to bind and to unbind at this portal now. */
  async plan(memberId: string, names: readonly string[]): Promise<OfflinePlan> {
    const [row] = await queryRows<OfflinePlan>(
      this.dataSource,
      `SELECT ARRAY(${MISSING} ORDER BY 1) AS missing, ARRAY(${UNWANTED} ORDER BY 1) AS unwanted,
         ARRAY(SELECT b.name FROM portals.offline_bindings b
           WHERE b.member_id = portals.member_id AND b.state = 'bound' ORDER BY 1) AS bound,
         coalesce((SELECT a.connector FROM portals.offline_access a WHERE a.member_id = portals.member_id), '') AS connector,
         ${IS_OTHER_CONNECTOR} AS "isOtherConnector"
       FROM portals.portals JOIN portals.credentials USING (member_id)
       WHERE ${IS_CALLABLE} AND member_id = $2 AND NOT ${LACKS_ADMINISTRATOR}`,
      [names, memberId],
    );
    return row ?? { missing: [], unwanted: [], bound: [], connector: '', isOtherConnector: false };
  }

  /** The names that are wanted offline of one portal, known to it or not. @param names as for `EventBindings.missing` */
  async wanted(names: readonly string[], memberId: string): Promise<string[]> {
    const rows = await queryRows<{ name: string }>(
      this.dataSource,
      `SELECT wanted.name FROM portals.portals CROSS JOIN LATERAL (${WANTED_OFFLINE}) wanted
       WHERE member_id = $2 ORDER BY 1`,
      [names, memberId],
    );
    return rows.map(({ name }) => name);
  }

  /** By event name. */
  async of(memberId: string): Promise<Map<string, { state: OfflineBindingState; boundAt: Date }>> {
    const rows = await this.dataSource.manager.findBy(OfflineBindingEntity, { memberId });
    return new Map(rows.map(({ name, state, boundAt }) => [name, { state, boundAt }]));
  }

  /** As `EventBindings.forgetLost`. */
  async forgetLost(memberId: string, recorded: readonly { name: string; boundAt: Date }[]): Promise<void> {
    await forgetUnchanged(this.dataSource, 'offline_bindings', memberId, recorded);
  }

  async save(memberId: string, names: readonly string[], state: OfflineBindingState): Promise<void> {
    if (names.length === 0) return;
    await this.dataSource.query(
      `INSERT INTO portals.offline_bindings (member_id, name, state)
       SELECT member_id, unnest($2::text[]), $3 FROM portals.portals WHERE member_id = $1
       ON CONFLICT (member_id, name) DO UPDATE SET state = excluded.state, bound_at = clock_timestamp()`,
      [memberId, names, state],
    );
  }

  async remove(memberId: string, names: readonly string[]): Promise<void> {
    await this.dataSource.query(
      'DELETE FROM portals.offline_bindings WHERE member_id = $1 AND name = ANY($2::text[])',
      [memberId, names],
    );
  }

  async saveAccess(memberId: string, access: OfflineAccess): Promise<void> {
    await this.dataSource.query(
      `INSERT INTO portals.offline_access (member_id, is_administrator, can_reserve, has_connector)
       SELECT member_id, $2, $3, $4 FROM portals.portals WHERE member_id = $1
       ON CONFLICT (member_id) DO UPDATE SET is_administrator = excluded.is_administrator,
         can_reserve = excluded.can_reserve, has_connector = excluded.has_connector, checked_at = clock_timestamp()`,
      [memberId, access.isAdministrator, access.canReserve, access.hasConnector],
    );
  }

  /** All handlers are bound with this one now, and with no other. */
  async saveConnector(memberId: string, connector: string): Promise<void> {
    await this.dataSource.query('UPDATE portals.offline_access SET connector = $2 WHERE member_id = $1', [
      memberId,
      connector,
    ]);
  }

  /** By member id; every portal with an application has an entry. A pair of webhooks has no offline queue. */
  async reports(): Promise<Map<string, DeliveryReport>> {
    const rows = await queryRows<DeliveryReport & { memberId: string }>(
      this.dataSource,
      `SELECT p.member_id AS "memberId", p.delivery_mode AS mode, a.is_administrator AS "isAdministrator",
         a.can_reserve AS "canReserve",
         (SELECT count(*) FROM portals.offline_bindings b WHERE b.member_id = p.member_id AND b.state = 'bound')::int AS bound
       FROM portals.portals p JOIN portals.credentials c ON c.member_id = p.member_id AND c.kind = 'oauth'
         LEFT JOIN portals.offline_access a ON a.member_id = p.member_id`,
    );
    return new Map(rows.map(({ memberId, ...report }) => [memberId, report]));
  }
}
