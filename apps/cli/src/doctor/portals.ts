import { portalNote } from '@relay/admin-contract';
import { silentLog, type TokenKey } from '@relay/platform';
import {
  EventBindings,
  invalidSettings,
  KeyRotation,
  OFFLINE_PULLER,
  OfflineBindings,
  PortalQuery,
  SecretBox,
  Subscriptions,
  type ListedPortal,
} from '@relay/portals';
import type { DataSource } from 'typeorm';
import { ok, problemsOrOk, problem, shortened, type Finding } from './finding.js';
import type { Settings } from './environment.js';

/** A binding takes seconds; a control plane looks for portals without it every minute. */
const UNBOUND_AFTER_MINUTES = 5;
/** A refresh token lives 180 days, and the control plane renews a pair after 150. */
const STALE_AFTER_DAYS = 155;

/** All secrets in the database against TOKEN_KEYS. */
export async function checkKeys(dataSource: DataSource, keys: TokenKey[]): Promise<Finding[]> {
  const report = await new KeyRotation(dataSource, new SecretBox(keys), silentLog).inspect();
  const known = new Set(keys.map(({ id }) => id));
  const problems = Object.entries(report.unreadable).map(([id, count]) =>
    known.has(id)
      ? `the key ${id} of TOKEN_KEYS is not the one that encrypted ${count} secrets under this name: put the old key back, or install these portals again`
      : `no key of TOKEN_KEYS is named ${id || '(damaged)'}, which encrypted ${count} secrets; put it back, at the end of the list`,
  );
  if (problems.length > 0) return problems.map((each) => problem('keys', each));
  const old = Object.keys(report.keysInUse).filter((id) => id !== report.currentKeyId);
  return [
    old.length === 0
      ? ok('keys', `TOKEN_KEYS opens all ${report.values} secrets`)
      : problem('keys', `secrets are still encrypted with the old key ${old.join(', ')}: relay keys rotate`),
  ];
}

/** Stored settings of portals that consumers reject. */
export async function checkPortalSettings(dataSource: DataSource): Promise<Finding[]> {
  const lines = (await invalidSettings(dataSource)).map(
    ({ domain, consumer, reason }) =>
      `those of ${consumer} at ${domain} are not valid, and its defaults apply: ${reason}; relay portals set ${domain} ${consumer} '<json>'`,
  );
  return problemsOrOk('portal settings', shortened(lines), 'all are valid');
}

/** Tokens, scopes, bindings and delivery mode of each portal, as the database knows them. No portal is called. */
export async function checkPortals(
  dataSource: DataSource,
  { PUBLIC_URL: publicUrl }: Settings,
): Promise<Finding[]> {
  const [portals, bindings, deliveries, isRead, stale, unbound] = await Promise.all([
    new PortalQuery(dataSource).all(),
    new EventBindings(dataSource).reports(),
    new OfflineBindings(dataSource).reports(),
    isQueueRead(dataSource),
    staleTokens(dataSource),
    publicUrl === undefined ? new Map<string, string[]>() : unboundEvents(dataSource, publicUrl),
  ]);
  const installed = portals.filter(({ state }) => state !== 'uninstalled');
  const lines = installed.flatMap((portal) => {
    const { memberId, domain } = portal;
    const delivery = deliveries.get(memberId);
    const report = bindings.get(memberId);
    const missing = unbound.get(memberId) ?? [];
    const days = stale.get(memberId);
    return [
      stateProblem(portal),
      days === undefined
        ? undefined
        : `its token pair is ${days} days old and expires after 180: a control plane must run, which renews it`,
      ...scopeProblems(report?.notOffered ?? []),
      report?.error
        ? `its events could not be bound (${report.error}); the next attempt is at ${report.nextAttemptAt?.toISOString() ?? 'once'}: relay portals show ${domain}`
        : missing.length > 0
          ? `${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ` and ${missing.length - 3} more events` : ''} are not bound at ${publicUrl}: a control plane with this PUBLIC_URL must run, which binds them`
          : undefined,
      delivery?.mode === 'offline' && !isRead
        ? `its mode is offline, and nobody reads its offline queue: start ${OFFLINE_PULLER}, or relay portals mode ${domain} online`
        : undefined,
      delivery && delivery.mode !== 'online' && isRead && delivery.isAdministrator === false
        ? `its mode is ${delivery.mode}, which needs an administrator: one must open the application there`
        : undefined,
    ].flatMap((line) => (line === undefined ? [] : [`${domain} (${memberId}): ${line}`]));
  });
  return [
    ...problemsOrOk(
      'portals',
      shortened(lines, 50),
      `${installed.length} are installed, authorized and bound${
        isRead ? '' : `; no ${OFFLINE_PULLER} runs, so what they post while the gateway is away is lost`
      }`,
    ),
    ...(await checkWaiting(dataSource)),
  ];
}

function stateProblem(portal: ListedPortal): string | undefined {
  const { state, domain, suspendedUntil, installedAt } = portal;
  if (state === 'installed' || state === 'resuming') return undefined;
  const note = portalNote({
    ...portal,
    suspendedUntil: suspendedUntil?.toISOString() ?? null,
    installedAt: installedAt.toISOString(),
    bindings: null,
  });
  const also = state === 'suspended' ? `; relay portals resume ${domain} tries at once` : '';
  return `${state}: ${note}${also}`;
}

function scopeProblems(
  notOffered: readonly { event: string; state: string; permission: string | null }[],
): string[] {
  const events = notOffered.filter(({ state }) => state === 'out-of-scope');
  return [...new Set(events.map(({ permission }) => permission))].map((permission) => {
    const names = events.filter((one) => one.permission === permission).map(({ event }) => event);
    return `the application lacks the permission ${permission ?? 'for them'} (${names.slice(0, 3).join(', ')}): add it in the application's form`;
  });
}

async function isQueueRead(dataSource: DataSource): Promise<boolean> {
  const active = await new Subscriptions(dataSource, { on: () => () => undefined }).active();
  return active.some(({ consumer }) => consumer === OFFLINE_PULLER);
}

/** Age in days by member_id. */
async function staleTokens(dataSource: DataSource): Promise<Map<string, number>> {
  const rows = await dataSource.query<{ memberId: string; days: number }[]>(
    `SELECT member_id AS "memberId", extract(day FROM now() - c.updated_at)::int AS days
     FROM portals.credentials c JOIN portals.portals USING (member_id)
     WHERE kind = 'oauth' AND state = 'installed' AND c.updated_at < now() - make_interval(days => $1)`,
    [STALE_AFTER_DAYS],
  );
  return new Map(rows.map(({ memberId, days }) => [memberId, days]));
}

/** Portals that were installed a while ago and lack wanted events at the present address. */
async function unboundEvents(dataSource: DataSource, publicUrl: string): Promise<Map<string, string[]>> {
  const wanted = await new Subscriptions(dataSource, { on: () => () => undefined }).wanted();
  const missing = await new EventBindings(dataSource).missing(wanted, `${publicUrl}/b24/events`);
  const fresh = await dataSource.query<{ memberId: string }[]>(
    `SELECT member_id AS "memberId" FROM portals.portals WHERE installed_at > now() - make_interval(mins => $1)`,
    [UNBOUND_AFTER_MINUTES],
  );
  for (const { memberId } of fresh) missing.delete(memberId);
  return missing;
}

/** Installs that are not confirmed, and pairs of webhooks without an event. */
async function checkWaiting(dataSource: DataSource): Promise<Finding[]> {
  const [[installs], [pairs]] = await Promise.all([
    dataSource.query<{ count: number }[]>(
      `SELECT count(*)::int AS count FROM portals.pending_installs WHERE kept_at < now() - interval '10 minutes'`,
    ),
    dataSource.query<{ count: number }[]>(
      `SELECT count(*)::int AS count FROM portals.webhook_pairs WHERE added_at < now() - interval '1 day'`,
    ),
  ]);
  const problems = [
    ...(installs && installs.count > 0
      ? [
          `${installs.count} claims are not confirmed: compare B24_CLIENT_ID and B24_CLIENT_SECRET with the application, and see that the OAuth server is reached`,
        ]
      : []),
    ...(pairs && pairs.count > 0
      ? [
          `${pairs.count} pairs of webhooks have had no event for a day: let the outgoing webhook lead to PUBLIC_URL/b24/events, and change something there`,
        ]
      : []),
  ];
  return problemsOrOk('installs', problems, 'none waits');
}
