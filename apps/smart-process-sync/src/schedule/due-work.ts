import type { ListedPortal } from '@relay/portals';
import { isDeepStrictEqual } from 'node:util';
import { CONSUMER, ITEM_EVENTS } from '../types/settings.js';
import type { PortalSyncState } from './portal-sync-state.js';

/**
 * The work that a portal needs now:
 * - `first`: it is new, so everything must be read;
 * - `settings`: an operator has changed what is mirrored;
 * - `reinstalled`: it is installed again, and changes of the meantime are unknown;
 * - `daily`: its last reconciliation was a day ago;
 * - `uninstalled`: no work; its state is recorded.
 */
export type DueWork = 'first' | 'settings' | 'reinstalled' | 'daily' | 'uninstalled';

/** After this time a portal whose handlers cannot be bound is mirrored nevertheless; its changes show a day later. */
const BINDING_TIMEOUT_MS = 120_000;

export function findDueWork(
  portal: Pick<ListedPortal, 'state' | 'kind' | 'settings' | 'installedAt'>,
  state: PortalSyncState | undefined,
  boundNames: Iterable<string>,
  now: Date,
): DueWork | undefined {
  if (portal.state === 'uninstalled')
    return state?.backfillRequestedAt && !state.isUninstalled ? 'uninstalled' : undefined;
  if (portal.state !== 'installed') return undefined;
  if (!state?.backfillRequestedAt) {
    const isOverdue = now.getTime() - portal.installedAt.getTime() >= BINDING_TIMEOUT_MS;
    return isBound(portal, boundNames) || isOverdue ? 'first' : undefined;
  }
  if (state.isUninstalled) return 'reinstalled';
  if (!isDeepStrictEqual(state.settingsSeen, portal.settings[CONSUMER] ?? null)) return 'settings';
  return state.isReconcileDue ? 'daily' : undefined;
}

/** Its changes come as events now, so a later read misses none. A pair of webhooks is bound by hand. */
function isBound({ kind }: Pick<ListedPortal, 'kind'>, boundNames: Iterable<string>): boolean {
  if (kind === 'webhook') return true;
  const names = [...boundNames];
  return ITEM_EVENTS.every((event) => names.some((name) => name === event || name.startsWith(`${event}_`)));
}
