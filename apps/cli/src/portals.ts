import {
  keyRotationResponse,
  limitResponse,
  plural,
  portalNote,
  portalsResponse,
  resumeResponse,
  settingsRequest,
  testResponse,
  webhookPairResponse,
  type GivenLimit,
  type ListedPortal,
  type PortalsResponse,
} from '@relay/admin-contract';
import { StartupError } from '@relay/platform';
import type { Report } from './command.js';
import type { AdminClient } from './admin-client.js';
import { prompt } from './terminal.js';

/** Installed portals, webhook pairs that no event has claimed, and pending installs. */
export async function listPortals(api: AdminClient): Promise<Report> {
  const answer = portalsResponse.parse(await api.send('GET', '/portals'));
  const { portals, webhookPairs, pendingInstalls } = answer;
  const waiting = [
    ...webhookPairs.map((pair) => ({ ...pair, state: 'unused-pair', kind: 'webhook', domain: pair.host })),
    ...pendingInstalls.portals.map((install) => ({ ...install, state: 'pending', kind: 'oauth' })),
  ];
  const lines = [...portals.map(lineOf), ...linesOfWaiting(answer)];
  return { value: [...portals, ...waiting], text: lines.join('\n') || 'No portal is installed yet.' };
}

function linesOfWaiting({ webhookPairs, pendingInstalls: { total, portals } }: PortalsResponse): string[] {
  const pairs = webhookPairs.map(
    ({ host, memberId, addedAt }) =>
      `${memberId ?? 'not known yet'}  unused-pair  webhook  ${host}  waits since ${addedAt} for the first event of its outgoing webhook`,
  );
  const installs = portals.map(
    ({ memberId, claims, keptAt, nextTryAt }) =>
      `${memberId}  pending  oauth  not confirmed: ${plural(claims, 'claim')} since ${keptAt}, next try ${nextTryAt}`,
  );
  const shown = portals.reduce((sum, { claims }) => sum + claims, 0);
  return [...pairs, ...installs, ...(total > shown ? [`and ${total - shown} more pending claims`] : [])];
}

/** The next action, or what happens next, comes after the domain. */
function lineOf(portal: ListedPortal): string {
  const { memberId, domain, state, kind } = portal;
  return [memberId, state, kind ?? '-', domain, portalNote(portal)].filter((text) => text !== '').join('  ');
}

/** @param memberId of the portal that the pair is for, if known: no other portal can claim it then */
export async function addWebhookPair(api: AdminClient, memberId?: string): Promise<Report> {
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

function wantedEvents(events: readonly string[]): string[] {
  if (events.length === 0) return ['No consumer wants any event yet.'];
  const list = events.map((name) => `  ${name}`);
  return ['The outgoing webhook must be made for these events; nobody can add them for you:', ...list];
}

/** @throws StartupError if no event comes */
export async function testPortal(api: AdminClient, memberId: string): Promise<Report> {
  const { portals } = portalsResponse.parse(await api.send('GET', '/portals'));
  const portal = portals.find((one) => one.memberId === memberId);
  const byHand = portal?.kind === 'webhook';
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

/** @throws StartupError if `json` is no object */
export async function setSettings(
  api: AdminClient,
  memberId: string,
  consumer: string,
  json: string,
): Promise<Report> {
  const settings = settingsRequest.safeParse(parsed(json));
  if (!settings.success)
    throw new StartupError(`The settings must be a JSON object, such as {"particles":"capital"}.`);
  await api.send('PUT', pathOf(memberId, 'settings', consumer), settings.data);
  return { value: settings.data, text: `Set for ${consumer} at ${memberId}; in force within seconds.` };
}

/**
 * @param limit `usual`, `enterprise`, `free`, or requests a second and a burst, such as `5/250`
 * @throws StartupError if it is none of these
 */
export async function setLimit(api: AdminClient, memberId: string, limit: string): Promise<Report> {
  const answer = limitResponse.parse(
    await api.send('PUT', pathOf(memberId, 'limit'), { limit: limitIn(limit) }),
  );
  const limitText =
    answer.limit === 'free'
      ? 'as many requests as they come'
      : `${answer.limit.rate} requests a second, ${answer.limit.burst} at once`;
  return { value: answer, text: `${memberId} now gets ${limitText}.` };
}

function limitIn(text: string): GivenLimit {
  if (text === 'usual' || text === 'enterprise' || text === 'free') return text;
  const [, rate, burst] = /^(\d+(?:\.\d+)?)\/(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (rate !== undefined && burst !== undefined) return { rate: Number(rate), burst: Number(burst) };
  throw new StartupError('The limit must be usual, enterprise, free, or <rate>/<burst> such as 5/250.');
}

/** Ends a suspension at once, instead of at the next attempt. */
export async function resumePortal(api: AdminClient, memberId: string): Promise<Report> {
  const answer = resumeResponse.parse(await api.send('POST', pathOf(memberId, 'resume')));
  const text = answer.resumed
    ? `${memberId} is called again, and its delayed events and jobs are due now. Its state is resuming until it answers.`
    : `${memberId} was not suspended.`;
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
