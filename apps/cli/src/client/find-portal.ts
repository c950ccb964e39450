import { portalsResponse, type ListedPortal } from '@relay/admin-contract';
import { StartupError } from '@relay/platform';
import type { AdminClient } from './admin-client.js';
import { nearest } from '../arguments/usage-error.js';

/** All portals that were ever installed. */
export async function readPortals(api: AdminClient): Promise<ListedPortal[]> {
  return portalsResponse.parse(await api.send('GET', '/portals')).portals;
}

/**
 * Finds a portal by its member_id, its domain, or the domain's first label.
 * @throws StartupError for none, or several
 */
export async function findPortal(api: AdminClient, name: string): Promise<ListedPortal> {
  const portals = await readPortals(api);
  const wanted = name
    .replace(/^https?:\/\//, '')
    .replace(/\/.*$/, '')
    .toLowerCase();
  const found =
    [
      portals.filter(({ memberId }) => memberId === name),
      portals.filter(({ domain }) => domain.toLowerCase() === wanted),
      portals.filter(({ domain }) => labelOf(domain) === wanted),
    ].find((some) => some.length > 0) ?? [];
  const installed = found.filter(({ state }) => state !== 'uninstalled');
  const [portal, ...others] = installed.length > 0 ? installed : found;
  if (!portal) {
    const near = nearest(
      wanted,
      portals.flatMap(({ domain }) => [domain, labelOf(domain)]),
    );
    const hint = near === undefined ? '' : ` (did you mean ${near}?)`;
    throw new StartupError(`There is no portal ${name}${hint}: see relay portals.`);
  }
  if (others.length > 0) throw new StartupError(`${name} matches several portals: give the member_id.`);
  return portal;
}

/** The member_id of the portal that an option names; undefined without the option. @throws as `findPortal` */
export async function memberIdIn(api: AdminClient, name: string | undefined): Promise<string | undefined> {
  return name === undefined ? undefined : (await findPortal(api, name)).memberId;
}

/** Names it as a person knows it. */
export function portalText({ domain, memberId }: Pick<ListedPortal, 'domain' | 'memberId'>): string {
  return `${domain} (${memberId})`;
}

/** Domains by member_id, to show them beside the ids. */
export async function readDomains(api: AdminClient): Promise<Map<string, string>> {
  return new Map((await readPortals(api)).map(({ memberId, domain }) => [memberId, domain]));
}

function labelOf(domain: string): string {
  return domain.toLowerCase().split(/[.:/]/)[0] ?? '';
}
