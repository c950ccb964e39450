import type { ListedPortal } from '@relay/portals';
import { isDeepStrictEqual } from 'node:util';
import { CONSUMER } from '../settings.js';
import { ITEM_EVENTS } from '../types/suffixed-events.js';
import type { PortalSyncState } from './portal-sync-state.js';

/**
 * The work that a portal needs now:
 * - `first`: it is new, so everything must be read;
 * - `settings`: an operator has changed what is mirrored;
 * - `back`: it is installed again, and changes of the meantime are unknown;
 * - `day`: its last reconciliation was a day ago;
 * - `away`: it is uninstalled.
 */
export type DueWork = 'first' | 'settings' | 'back' | 'day' | 'away';

/** A portal whose handlers cannot be bound is mirrored nevertheless; its changes show a day later. */
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

/** Its changes come as events by now, so a later read misses none. A pair of webhooks is bound by hand. */
function isBound({ kind }: Pick<ListedPortal, 'kind'>, boundNames: Iterable<string>): boolean {
  if (kind === 'webhook') return true;
  const names = [...boundNames];
  return ITEM_EVENTS.every((event) => names.some((name) => name === event || name.startsWith(`${event}_`)));
}
