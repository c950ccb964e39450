import {
  Bitrix24Error,
  bindOfflineCommand,
  type Command,
  type CommandOutcome,
  listOfflineHandlers,
  MAX_BATCH_COMMANDS,
  type PortalClient,
  type OfflineHandler,
  readOfflineAccess,
  unbindOfflineCommand,
} from '@relay/bitrix24';
import { parseEventName } from '@relay/events';
import type { Log } from '@relay/platform';
import { OFFLINE_CONNECTOR, type OfflineBindings, type OfflinePlan } from '@relay/portals';
import type { HandlerChanges } from './event-binder.js';

interface OfflineBinderParts {
  bindings: OfflineBindings;
  client: PortalClient;
  log: Log;
  signal: AbortSignal;
  changes: HandlerChanges;
}

/**
 * Makes the offline handlers of one portal equal to what is wanted, and unbinds what was found beside it. Without an administrator's token pair nothing is
 * bound: the portal stays `online`, and the log and `relay portals` say who must open the application.
 * @throws Bitrix24Error, the signal's reason
 */
export async function reconcileOfflineHandlers(
  parts: OfflineBinderParts,
  plan: OfflinePlan,
  surplus: readonly OfflineHandler[] = [],
): Promise<void> {
  const { bindings, client, log, signal } = parts;
  const { memberId } = client;
  const access = await readOfflineAccess(client, { signal });
  await bindings.saveAccess(memberId, access);
  if (!access.isAdministrator) {
    log.warn(
      { event: 'offline.administrator.missing', memberId },
      'the offline queue needs the token pair of an administrator: one must open the application in the portal',
    );
    return;
  }
  await unbindSurplus(parts, surplus);
  try {
    await bindBy(parts, plan, access.hasConnector ? OFFLINE_CONNECTOR : '');
  } catch (error) {
    if (!access.hasConnector || !(error instanceof Bitrix24Error) || error.code !== 'WRONG_LICENSE')
      throw error;
    await bindings.saveAccess(memberId, { ...access, hasConnector: false });
    log.warn(
      { event: 'offline.connector.lost', memberId },
      'the plan of the portal does not allow auth_connector: what we write comes back in the offline queue',
    );
    await bindBy(parts, plan, '');
  }
}

/**
 * Handlers of another connector are unbound after those of this one are bound, so nothing happens unrecorded; and recorded last, so that a
 * process that ends in between is followed by one that does it again.
 */
async function bindBy(
  parts: OfflineBinderParts,
  { missing, unwanted, bound, connector: boundWith }: OfflinePlan,
  connector: string,
): Promise<void> {
  const kept = bound.filter((name) => !unwanted.includes(name));
  const isOther = connector !== boundWith && kept.length + missing.length > 0;
  const names = isOther ? [...new Set([...kept, ...missing])] : missing;
  if (names.length > 0) await bindMissing(parts, names, connector);
  if (isOther) await unbindAll(parts, kept, boundWith);
  if (unwanted.length > 0) await unbindUnwanted(parts, unwanted, boundWith);
  if (isOther) await parts.bindings.saveConnector(parts.client.memberId, connector);
}

async function bindMissing(
  { bindings, client, log, signal, changes }: OfflineBinderParts,
  missing: readonly string[],
  connector: string,
): Promise<void> {
  const { memberId } = client;
  const there = await listOfflineHandlers(client, { signal, connector });
  let names = missing;
  const failures: unknown[] = [];
  while (names.length > 0) {
    await bindings.save(
      memberId,
      names.filter((name) => there.has(name)),
      'bound',
    );
    const open = names.filter((name) => !there.has(name));
    const outcomes = await sendAll(client, open, bindOfflineCommand, { signal, connector });
    const bound = open.filter((name) => isBound(outcomes.get(name)));
    const unknown = open.filter((name) => codeOf(outcomes.get(name)) === 'ERROR_EVENT_NOT_FOUND');
    await bindings.save(memberId, bound, 'bound');
    await bindings.save(memberId, unknown, 'unknown-event');
    changes.boundOffline.push(...bound);
    if (bound.length > 0) log.info({ memberId, events: bound }, 'events bound offline');
    for (const name of open) {
      const outcome = outcomes.get(name);
      if (!bound.includes(name) && !unknown.includes(name)) {
        failures.push(outcome?.ok === false ? outcome.error : new Error(`no answer for ${name}`));
      }
    }
    // Instead of suffixed names that the portal does not know.
    names = [...new Set(unknown.map((name) => parseEventName(name).name))].filter(
      (name) => !unknown.includes(name),
    );
  }
  if (failures.length > 0) throw failures[0];
}

/** What is not recorded, and so is in no plan. */
async function unbindSurplus(parts: OfflineBinderParts, surplus: readonly OfflineHandler[]): Promise<void> {
  for (const connector of new Set(surplus.map((one) => one.connector))) {
    const names = surplus.filter((one) => one.connector === connector).map(({ event }) => event);
    await unbindUnwanted(parts, names, connector);
  }
}

async function unbindUnwanted(
  parts: OfflineBinderParts,
  unwanted: readonly string[],
  connector: string,
): Promise<void> {
  const { bindings, client, log, changes } = parts;
  const { memberId } = client;
  const outcomes = await unbindAll(parts, unwanted, connector);
  const gone = unwanted.filter((name) => {
    const outcome = outcomes.get(name);
    return outcome === undefined || outcome.ok || GONE.has(codeOf(outcome) ?? '');
  });
  await bindings.remove(memberId, gone);
  changes.unboundOffline.push(...gone);
  if (gone.length > 0) log.info({ memberId, events: gone }, 'events unbound offline');
  for (const outcome of outcomes.values()) {
    if (!outcome.ok && !GONE.has(outcome.error.code)) throw outcome.error;
  }
}

/** Without an outcome where the plan has lost the connector: then nobody reaches the handlers, and nobody reads what they record. */
async function unbindAll(
  { client, signal }: OfflineBinderParts,
  names: readonly string[],
  connector: string,
): Promise<Map<string, CommandOutcome>> {
  try {
    return await sendAll(client, names, unbindOfflineCommand, { signal, connector });
  } catch (error) {
    if (connector !== '' && error instanceof Bitrix24Error && error.code === 'WRONG_LICENSE')
      return new Map();
    throw error;
  }
}

/** Nothing was bound, so nothing is left to unbind; or it is out of reach. */
const GONE: ReadonlySet<string> = new Set(['ERROR_EVENT_NOT_FOUND', 'NOT_FOUND', 'WRONG_LICENSE']);

async function sendAll(
  client: PortalClient,
  names: readonly string[],
  commandOf: (name: string) => Command,
  { signal, connector }: { signal: AbortSignal; connector: string },
): Promise<Map<string, CommandOutcome>> {
  const outcomes = new Map<string, CommandOutcome>();
  for (let from = 0; from < names.length; from += MAX_BATCH_COMMANDS) {
    const part = names.slice(from, from + MAX_BATCH_COMMANDS);
    const commands = Object.fromEntries(part.map((name) => [name, commandOf(name)] as const));
    for (const [name, outcome] of Object.entries(await client.batch(commands, { signal, connector }))) {
      outcomes.set(name, outcome);
    }
  }
  return outcomes;
}

/** "Handler already binded" is an error, and as good (`api-reference/events/event-bind.md`). */
function isBound(outcome: CommandOutcome | undefined): boolean {
  return outcome?.ok === true || codeOf(outcome) === 'ERROR_CORE';
}

function codeOf(outcome: CommandOutcome | undefined): string | undefined {
  if (outcome?.ok !== false) return undefined;
  return outcome.error instanceof Bitrix24Error ? outcome.error.code : undefined;
}
