/** Says that the offline queue has records (api-reference/events/on-offline-event.md); no event for consumers. */
export const OFFLINE_SIGNAL = 'ONOFFLINEEVENT';

/** The consumer that reads the offline queues. */
export const OFFLINE_PULLER = 'offline-puller';

/** `auth_connector` of the queue and of our writes, where the plan has it: what we write is not recorded. */
export const OFFLINE_CONNECTOR = 'b24-relay';

/**
 * SQL: all consumers that subscribe to this name have overrides without it at this portal. A name without a consumer,
 * such as the gateway's own, cannot be overridden.
 */
const isReplaced = (
  name: string,
): string => `(EXISTS (SELECT FROM portals.subscriptions s WHERE s.name = ${name})
  AND NOT EXISTS (
    SELECT FROM portals.subscriptions s
      LEFT JOIN portals.chosen_subscriptions c ON c.consumer = s.consumer AND c.member_id = portals.member_id
    WHERE s.name = ${name} AND (c.names IS NULL OR ${name} = ANY (c.names))))`;

/** SQL: the names that are wanted of a row of `portals`; `$1` are those that are wanted of every portal. */
export const WANTED_OF_PORTAL = `
  SELECT given.name FROM unnest($1::text[]) AS given(name) WHERE NOT ${isReplaced('given.name')}
  UNION SELECT unnest(names) FROM portals.chosen_subscriptions c WHERE c.member_id = portals.member_id`;

/** SQL: the names to bind online at a row of `portals`. A portal that reaches us by its offline queue alone has none. */
export const WANTED_ONLINE = `
  SELECT name FROM (${WANTED_OF_PORTAL}) wanted
  WHERE portals.delivery_mode = 'both' OR (portals.delivery_mode = 'online' AND name <> '${OFFLINE_SIGNAL}')`;

/**
 * SQL: the names to bind offline at a row of `portals`: none while nobody reads the queue, which would grow. Events about
 * the application itself are not recorded.
 */
export const WANTED_OFFLINE = `
  SELECT name FROM (${WANTED_OF_PORTAL}) wanted
  WHERE portals.delivery_mode <> 'online' AND name <> '${OFFLINE_SIGNAL}' AND NOT starts_with(name, 'ONAPP')
    AND EXISTS (SELECT FROM portals.subscriptions s WHERE s.consumer = '${OFFLINE_PULLER}' AND s.drained_at IS NULL)`;
