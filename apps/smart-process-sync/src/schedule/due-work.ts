import type { ListedPortal } from '@relay/portals';
import { isDeepStrictEqual } from 'node:util';
import { CONSUMER } from '../settings.js';
import { ITEM_EVENTS } from '../types/suffixed-events.js';
import type { PortalSyncState } from './portal-sync-state.js';

/**
 * What a portal needs now:
 * - `first`: it was not seen before, so all of it is to be read;
 * - `settings`: an operator has changed what is mirrored;
 * - `back`: it was uninstalled, and nobody told us what changed meanwhile;
 * - `day`: its last comparison was a day ago;
 * - `away`: it is uninstalled.
 */
export type DueWork = 'first' | 'settings' | 'back' | 'day' | 'away';

/** A portal whose handlers cannot be bound is mirrored all the same; what it changes meanwhile shows a day later. */
const BINDING_TIMEOUT_MS = 120_000;

export function findDueWork(
  portal: Pick<ListedPortal, 'state' | 'kind' | 'settings' | 'installedAt'>,
  notes: PortalSyncState | undefined,
  boundNames: Iterable<string>,
  now: Date,
): DueWork | undefined {
  if (portal.state === 'uninstalled') return notes?.backfillAskedAt && !notes.isAway ? 'away' : undefined;
  if (portal.state !== 'installed') return undefined;
  if (!notes?.backfillAskedAt) {
    const isPatient = now.getTime() - portal.installedAt.getTime() < BINDING_TIMEOUT_MS;
    return isBound(portal, boundNames) || !isPatient ? 'first' : undefined;
  }
  if (notes.isAway) return 'back';
  if (!isDeepStrictEqual(notes.settingsSeen, portal.settings[CONSUMER] ?? null)) return 'settings';
  return notes.isReconcileDue ? 'day' : undefined;
}

/** Its changes come as events by now: what is read after this misses none. A pair of webhooks is bound by hand. */
function isBound({ kind }: Pick<ListedPortal, 'kind'>, boundNames: Iterable<string>): boolean {
  if (kind === 'webhook') return true;
  const names = [...boundNames];
  return ITEM_EVENTS.every((event) => names.some((name) => name === event || name.startsWith(`${event}_`)));
}
