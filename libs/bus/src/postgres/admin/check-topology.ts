import { formatEventName, parseEventName } from '@relay/events';
import type pg from 'pg';
import type { TopologyPart } from '../../admin/bus-admin.js';

const TABLES = [
  'subscriptions',
  'messages',
  'dead_letters',
  'unrouted',
  'topology',
  'trials',
  'consumer_processes',
  'shard_leases',
  'operator_turns',
];

/** Checks the tables of the bus, and for each consumer the subscriptions that it asked for. */
export async function checkTopology(
  database: pg.Pool,
  wanted: ReadonlyMap<string, readonly string[]>,
): Promise<TopologyPart[]> {
  const parts = await checkTables(database);
  if (parts.some(({ state }) => state !== 'ok')) return parts;
  const { rows } = await database.query<{ consumer: string; name: string; type: number }>(
    'SELECT consumer, name, entity_type_id AS type FROM bus.subscriptions',
  );
  const stored = new Set(
    rows.map(({ consumer, name, type }) => `${consumer} ${formatEventName(name, type)}`),
  );
  for (const [consumer, names] of wanted) {
    for (const given of names) {
      const { name, entityTypeId } = parseEventName(given);
      const wantedName = formatEventName(name, entityTypeId);
      const isThere = stored.has(`${consumer} ${wantedName}`);
      parts.push({
        kind: 'subscription',
        name: wantedName,
        consumer,
        state: isThere ? 'ok' : 'missing',
        detail: isThere ? null : 'no event of this name is kept for it; it subscribes at its next start',
      });
    }
  }
  return parts;
}

async function checkTables(database: pg.Pool): Promise<TopologyPart[]> {
  const { rows } = await database.query<{ name: string; there: boolean }>(
    `SELECT name, to_regclass('bus.' || name) IS NOT NULL AS there FROM unnest($1::text[]) AS name`,
    [TABLES],
  );
  return rows.map(({ name, there }) => ({
    kind: 'table',
    name: `bus.${name}`,
    consumer: null,
    state: there ? 'ok' : 'missing',
    detail: there ? null : 'npm run migrate makes it',
  }));
}
