import { listOf, MAX_BATCH_COMMANDS, type CommandOutcome, type PortalClient } from '@relay/bitrix24';
import type { EventNotOffered } from '@relay/portals';
import { z } from 'zod';

/** Bitrix24 has some fifty. */
const MAX_PERMISSIONS = 2 * MAX_BATCH_COMMANDS;

const names = listOf(z.string());
const permission = z.string().regex(/^[a-z][a-z\d_.]{0,63}$/i);

/**
 * Why `event.bind` returned ERROR_EVENT_NOT_FOUND. It means that the portal does not know the event, or that the
 * application lacks its permission: `events` with FULL lists the second kind (api-reference/events/events.md). Without a
 * response the reason is `unknown-event`.
 * @throws Bitrix24Error
 */
export async function explainNotOffered(
  client: PortalClient,
  events: readonly string[],
  signal: AbortSignal,
): Promise<EventNotOffered[]> {
  const asked = await client.batch(
    {
      every: { method: 'events', params: { FULL: 1 } },
      permissions: { method: 'scope', params: { full: 1 } },
      granted: { method: 'scope' },
    },
    { signal },
  );
  const every = eventsIn(asked['every']);
  const granted = new Set(namesIn(asked['granted']));
  const lacking = namesIn(asked['permissions']).filter(
    (name) => !granted.has(name) && permission.safeParse(name).success,
  );
  const outOfScope = events.filter((event) => every.has(event));
  const permissions = outOfScope.length > 0 ? await permissionsOf(client, lacking, signal) : new Map();
  return events.map((event) =>
    outOfScope.includes(event)
      ? { event, state: 'out-of-scope', permission: permissions.get(event) ?? null }
      : { event, state: 'unknown-event', permission: null },
  );
}

/** The permission that each event needs. */
async function permissionsOf(
  client: PortalClient,
  lacking: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (let from = 0; from < Math.min(lacking.length, MAX_PERMISSIONS); from += MAX_BATCH_COMMANDS) {
    const part = lacking.slice(from, from + MAX_BATCH_COMMANDS);
    const commands = part.map(
      (name, index) => [`p${index}`, { method: 'events', params: { SCOPE: name } }] as const,
    );
    const outcomes = await client.batch(Object.fromEntries(commands), { signal });
    for (const [index, name] of part.entries()) {
      for (const event of eventsIn(outcomes[`p${index}`])) if (!found.has(event)) found.set(event, name);
    }
  }
  return found;
}

function eventsIn(outcome: CommandOutcome | undefined): Set<string> {
  return new Set(namesIn(outcome).map((event) => event.toUpperCase()));
}

function namesIn(outcome: CommandOutcome | undefined): string[] {
  if (!outcome?.ok) return [];
  const parsed = names.safeParse(outcome.result);
  return parsed.success ? parsed.data : [];
}
