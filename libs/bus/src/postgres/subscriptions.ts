import { parseEventName } from '@relay/events';
import type pg from 'pg';

const SUBSCRIBE_SQL = `
  WITH wanted AS (
    SELECT DISTINCT name, entity_type_id FROM unnest($2::text[], $3::int[]) AS w (name, entity_type_id)
  ), gone AS (
    DELETE FROM bus.subscriptions
    WHERE consumer = $1 AND (name, entity_type_id) NOT IN (SELECT name, entity_type_id FROM wanted)
  )
  INSERT INTO bus.subscriptions (consumer, name, entity_type_id) SELECT $1, name, entity_type_id FROM wanted
  ON CONFLICT DO NOTHING`;

/**
 * From now on every event of these names is stored for the consumer, and no event of a name that it no longer lists.
 */
export async function subscribe(
  client: pg.Client,
  consumer: string,
  names: readonly string[],
): Promise<void> {
  const parsed = names.map(parseEventName);
  await client.query(SUBSCRIBE_SQL, [
    consumer,
    parsed.map(({ name }) => name),
    parsed.map(({ entityTypeId }) => entityTypeId),
  ]);
}
