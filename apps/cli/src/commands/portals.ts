import {
  keyRotationResponse,
  limitResponse,
  modeRequest,
  modeResponse,
  plural,
  portalNote,
  portalsResponse,
  removeResponse,
  resumeResponse,
  settingsRequest,
  testResponse,
  webhookPairResponse,
  type DeliveryMode,
  type GivenLimit,
  type ListedPortal,
  type PortalsResponse,
} from '@relay/admin-contract';
import { StartupError } from '@relay/platform';
import type { Report } from '../program/command.js';
import type { AdminClient } from '../client/admin-client.js';
import { findPortal, portalText } from '../client/find-portal.js';
import { formatTable, prompt } from '../terminal/terminal.js';
import { UsageError } from '../arguments/usage-error.js';

/** Installed portals, webhook pairs that no event has claimed, and pending installs. */
export async function listPortals(api: AdminClient): Promise<Report> {
  const answer = portalsResponse.parse(await api.send('GET', '/portals'));
  const { portals, webhookPairs, pendingInstalls } = answer;
  const waiting = [
    ...webhookPairs.map((pair) => ({ ...pair, state: 'unused-pair', kind: 'webhook', domain: pair.host })),
    ...pendingInstalls.portals.map((install) => ({ ...install, state: 'pending', kind: 'oauth' })),
  ];
  const rows = [...portals.map(rowOf), ...rowsOfWaiting(answer)];
  const shown = pendingInstalls.portals.reduce((sum, { claims }) => sum + claims, 0);
  const more = pendingInstalls.total - shown;
  const lines = [
    rows.length > 0 ? formatTable(TITLES, rows) : 'No portal is installed yet.',
    ...(more > 0 ? [`and ${more} more pending claims`] : []),
  ];
  return { value: [...portals, ...waiting], text: lines.join('\n') };
}

const TITLES = ['member_id', 'state', 'kind', 'domain', 'what to do, or what happens next'];

function rowOf(portal: ListedPortal): string[] {
  const { memberId, state, kind, domain } = portal;
  return [memberId, state, kind ?? '-', domain, portalNote(portal)];
}

function rowsOfWaiting({ webhookPairs, pendingInstalls }: PortalsResponse): string[][] {
  const pairs = webhookPairs.map(({ host, memberId, addedAt }) => [
    memberId ?? 'not known yet',
    'unused-pair',
    'webhook',
    host,
    `waits since ${addedAt} for the first event of its outgoing webhook`,
  ]);
  const installs = pendingInstalls.portals.map(({ memberId, claims, keptAt, nextTryAt }) => [
    memberId,
    'pending',
    'oauth',
    '-',
    `not confirmed: ${plural(claims, 'claim')} since ${keptAt}, next try ${nextTryAt}`,
  ]);
  return [...pairs, ...installs];
}

/** All that is known about one portal. */
export async function showPortal(api: AdminClient, name: string): Promise<Report> {
  const portal = await findPortal(api, name);
  const { domain, memberId, state, kind, language, installedAt, settings, bindings, arrivals } = portal;
  const note = portalNote(portal);
  const facts: [string, string][] = [
    ['domain', domain],
    ['member_id', memberId],
    ['state', note === '' ? state : `${state}: ${note}`],
    ['kind', kind ?? 'no credentials'],
    ['language', language ?? 'not known'],
    ['installed', installedAt],
    ['events', bindings === null ? 'not bound' : `${bindings.bound} bound`],
    ['delivery', deliveryFact(portal)],
    ['last event', arrivals?.lastEventAt ?? 'none was noted'],
    ...(arrivals?.lastRecordAt
      ? [
          ['last offline record', arrivals.lastRecordAt] as [string, string],
          ['only offline', `${plural(arrivals.onlyOffline, 'event')} since the last online event`] as [
            string,
            string,
          ],
        ]
      : []),
    ...Object.entries(settings).map(([consumer, given]): [string, string] => [
      `settings of ${consumer}`,
      JSON.stringify(given),
    ]),
  ];
  const width = Math.max(...facts.map(([what]) => what.length));
  return { value: portal, text: facts.map(([what, text]) => `${what.padEnd(width)}  ${text}`).join('\n') };
}

function deliveryFact({ kind, delivery }: ListedPortal): string {
  if (!delivery)
    return kind === 'webhook' ? 'online: a pair of webhooks has no offline queue' : 'no credentials';
  const { mode, bound, note } = delivery;
  if (note !== null) return `${mode}: ${note}`;
  return mode === 'online' ? mode : `${mode}: ${plural(bound, 'event')} bound offline`;
}

/**
 * Deletes a portal's tokens and unbinds its events, as an uninstall does.
 * @param isClean also deletes its settings
 * @throws StartupError if the operator does not confirm
 */
export async function removePortal(
  api: AdminClient,
  name: string,
  { yes = false, clean = false }: { yes?: boolean; clean?: boolean },
): Promise<Report> {
  const portal = await findPortal(api, name);
  if (!yes) await confirm(portal);
  const answer = removeResponse.parse(await api.send('POST', pathOf(portal.memberId, 'remove'), { clean }));
  const unbound =
    answer.unbound === null
      ? 'Its events could not be unbound there, and are answered with 401: remove the application in the portal.'
      : `${plural(answer.unbound, 'event')} unbound there.`;
  return {
    value: answer,
    text: `${portalText(portal)} is removed: its tokens are deleted. ${unbound}\nIt comes back when the application is installed or opened there again, or by another pair of webhooks.`,
  };
}

async function confirm(portal: ListedPortal): Promise<void> {
  if (!process.stdin.isTTY) throw new UsageError('Say --yes: nobody can be asked here.');
  const [typed] = await prompt([
    `${portalText(portal)}: its tokens are deleted, and no event of it is accepted any more. Type the domain to go on`,
  ]);
  if (typed !== portal.domain) throw new StartupError('Nothing was removed.');
}

/** @param given names the portal that the pair is for, if known: no other portal can claim it then */
export async function addWebhookPair(api: AdminClient, given?: string): Promise<Report> {
  const memberId = given === undefined ? undefined : await memberIdOfPair(api, given);
  const [webhookUrl = '', applicationToken = ''] = await prompt([
    'Address of the incoming webhook (https://<portal>/rest/<user>/<secret>/)',
    'Application token of the outgoing webhook',
  ]);
  const pair = { webhookUrl, applicationToken, ...(memberId !== undefined && { memberId }) };
  const answer = webhookPairResponse.parse(await api.send('POST', '/portals/webhook', pair));
  return {
    value: answer,
    text: [
      `${answer.host} is registered with its first event: change something there that the outgoing webhook is for.`,
      ...wantedEvents(answer.events),
    ].join('\n'),
  };
}

/** The portal of a pair need not be known yet: then it is named by its member_id, which Bitrix24 makes of 32 hex digits. */
async function memberIdOfPair(api: AdminClient, given: string): Promise<string> {
  return /^[0-9a-f]{32}$/i.test(given) ? given : (await findPortal(api, given)).memberId;
}

function wantedEvents(events: readonly string[]): string[] {
  if (events.length === 0) return ['No consumer wants any event yet.'];
  const list = events.map((name) => `  ${name}`);
  return ['The outgoing webhook must be made for these events; nobody can add them for you:', ...list];
}

/** @throws StartupError if no event comes */
export async function testPortal(api: AdminClient, name: string): Promise<Report> {
  const { memberId, kind } = await findPortal(api, name);
  const byHand = kind === 'webhook';
  if (byHand) {
    process.stderr.write(
      'This portal has no application, so it cannot be asked for a test event. Change something there by hand that the outgoing webhook is for, such as the name of a contact. Waiting a minute for any event …\n',
    );
  }
  const answer = testResponse.parse(await api.send('POST', pathOf(memberId, 'test')));
  if (answer.heard) {
    const what = byHand ? 'An event of the portal' : "The portal's test event";
    return { value: answer, text: `${what} came after ${answer.heardAfterMs} ms.` };
  }
  throw new StartupError(
    byHand
      ? 'No event came: does the outgoing webhook lead to PUBLIC_URL/b24/events, and is it made for what was changed?'
      : 'The portal was asked for a test event, and none came: is PUBLIC_URL reached from outside, by https, and is the installation finished?',
  );
}

/** @throws UsageError if `json` is no object */
export async function setSettings(
  api: AdminClient,
  name: string,
  consumer: string,
  json: string,
): Promise<Report> {
  const settings = settingsRequest.safeParse(parsed(json));
  if (!settings.success)
    throw new UsageError(`The settings must be a JSON object, such as {"particles":"capital"}.`);
  const portal = await findPortal(api, name);
  await api.send('PUT', pathOf(portal.memberId, 'settings', consumer), settings.data);
  return {
    value: settings.data,
    text: `Set for ${consumer} at ${portalText(portal)}; in force within seconds.`,
  };
}

/**
 * @param limit `usual`, `enterprise`, `free`, or requests a second and a burst, such as `5/250`
 * @throws UsageError if it is none of these
 */
export async function setLimit(api: AdminClient, name: string, limit: string): Promise<Report> {
  const given = limitIn(limit);
  const portal = await findPortal(api, name);
  const answer = limitResponse.parse(
    await api.send('PUT', pathOf(portal.memberId, 'limit'), { limit: given }),
  );
  const limitText =
    answer.limit === 'free'
      ? 'as many requests as they come'
      : `${answer.limit.rate} requests a second, ${answer.limit.burst} at once`;
  return { value: answer, text: `${portalText(portal)} now gets ${limitText}.` };
}

function limitIn(text: string): GivenLimit {
  if (text === 'usual' || text === 'enterprise' || text === 'free') return text;
  const [, rate, burst] = /^(\d+(?:\.\d+)?)\/(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (rate !== undefined && burst !== undefined) return { rate: Number(rate), burst: Number(burst) };
  throw new UsageError('The limit must be usual, enterprise, free, or <rate>/<burst> such as 5/250.');
}

/** @throws UsageError if `mode` is none */
export async function setMode(api: AdminClient, name: string, mode: string): Promise<Report> {
  const given = modeRequest.safeParse({ mode });
  if (!given.success) throw new UsageError('The mode must be online, offline or both.');
  const portal = await findPortal(api, name);
  const answer = modeResponse.parse(await api.send('PUT', pathOf(portal.memberId, 'mode'), given.data));
  return { value: answer, text: `${portalText(portal)} ${MODE_TEXTS[answer.mode]}${unreadNote(answer)}` };
}

const MODE_TEXTS = {
  online: 'posts its events.',
  offline: 'posts no events: they are read from its offline queue.',
  both: 'posts its events, and those that no gateway takes are read from its offline queue.',
} as const;

function unreadNote({ mode, isRead }: { mode: DeliveryMode; isRead: boolean }): string {
  if (mode === 'online' || isRead) return '';
  return ' Nobody reads offline queues yet: start offline-puller.';
}

/** Ends a suspension at once, instead of at the next attempt. */
export async function resumePortal(api: AdminClient, name: string): Promise<Report> {
  const portal = await findPortal(api, name);
  const answer = resumeResponse.parse(await api.send('POST', pathOf(portal.memberId, 'resume')));
  const text = answer.resumed
    ? `${portalText(portal)} is called again, and its delayed events and jobs are due now. Its state is resuming until it answers.`
    : `${portalText(portal)} was not suspended.`;
  return { value: answer, text };
}

function pathOf(...parts: string[]): string {
  return `/portals/${parts.map(encodeURIComponent).join('/')}`;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** Encrypts everything with the first key of TOKEN_KEYS, and says which keys can be removed. */
export async function rotateKeys(api: AdminClient): Promise<Report> {
  const answer = keyRotationResponse.parse(await api.send('POST', '/keys/rotate'));
  const { rewritten, alreadyCurrent, unreadable, currentKeyId } = answer;
  const old = Object.keys(answer.keysInUse).filter((id) => id !== currentKeyId);
  const lines = [
    `${rewritten} secrets encrypted with key ${currentKeyId} now; ${alreadyCurrent} already were.`,
    old.length === 0
      ? 'All other keys can be removed from TOKEN_KEYS.'
      : `TOKEN_KEYS must still contain ${old.join(', ')}. When every process has restarted with ${currentKeyId} as the first key, run this again.`,
  ];
  if (unreadable > 0) {
    lines.push(`No key of TOKEN_KEYS decrypts ${unreadable} of them; the control plane's log names each.`);
  }
  return { value: answer, text: lines.join('\n') };
}
