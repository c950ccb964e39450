import { StartupError } from '@relay/platform';
import { z } from 'zod';
import { ask } from './ask.js';
import type { OpsClient } from './ops-client.js';
import type { Report } from './report.js';

const listed = z.object({
  portals: z.array(
    z.looseObject({
      memberId: z.string(),
      domain: z.string(),
      state: z.string(),
      kind: z.string().nullable(),
      suspendedReason: z.string().nullish(),
      suspendedUntil: z.string().nullish(),
    }),
  ),
});
type ListedPortal = z.output<typeof listed>['portals'][number];
const tested = z.object({ heard: z.boolean(), heardAfterMs: z.number().optional() });
const paired = z.object({ host: z.string() });
const resumed = z.object({ resumed: z.boolean() });
const limited = z.object({
  limit: z.union([z.literal('free'), z.object({ rate: z.number(), burst: z.number() })]),
});

export async function listPortals(api: OpsClient): Promise<Report> {
  const { portals } = listed.parse(await api.send('GET', '/portals'));
  return { value: portals, text: portals.map(lineOf).join('\n') || 'No portal is installed yet.' };
}

/** `needs-reauth` and `suspended` say what is to be done, or what happens next. */
function lineOf({ memberId, domain, state, kind, suspendedReason, suspendedUntil }: ListedPortal): string {
  const line = `${memberId}  ${state}  ${kind ?? '-'}  ${domain}`;
  if (state === 'needs-reauth') return `${line}  an administrator must open the application there`;
  if (state !== 'suspended') return line;
  return `${line}  ${suspendedReason ?? 'no reason given'}, next try ${suspendedUntil ?? 'at once'}`;
}

/** @param memberId of the portal that the pair is for, where it is known: no other can claim it then */
export async function addWebhookPair(api: OpsClient, memberId?: string): Promise<Report> {
  const [webhookUrl = '', applicationToken = ''] = await ask([
    'Address of the incoming webhook (https://<portal>/rest/<user>/<secret>/)',
    'Application token of the outgoing webhook',
  ]);
  const pair = { webhookUrl, applicationToken, ...(memberId !== undefined && { memberId }) };
  const answer = paired.parse(await api.send('POST', '/portals/webhook', pair));
  return {
    value: answer,
    text: `${answer.host} is registered with its first event: change something there that the outgoing webhook is for.`,
  };
}

/** @throws StartupError when the portal's test event does not come */
export async function testPortal(api: OpsClient, memberId: string): Promise<Report> {
  const answer = tested.parse(await api.send('POST', pathOf(memberId, 'test')));
  if (answer.heard)
    return { value: answer, text: `The portal's test event came after ${answer.heardAfterMs} ms.` };
  throw new StartupError(
    'The portal was asked for a test event, and none came: is PUBLIC_URL reached from outside, by https, and is the installation finished?',
  );
}

/** @throws StartupError when `json` is no object */
export async function setSettings(
  api: OpsClient,
  memberId: string,
  consumer: string,
  json: string,
): Promise<Report> {
  const settings = z.record(z.string(), z.json()).safeParse(parsed(json));
  if (!settings.success)
    throw new StartupError(`The settings must be a JSON object, such as {"particles":"capital"}.`);
  await api.send('PUT', pathOf(memberId, 'settings', consumer), settings.data);
  return { value: settings.data, text: `Set for ${consumer} at ${memberId}; in force within seconds.` };
}

/**
 * @param limit `usual`, `enterprise`, `free`, or requests a second and a burst, such as `5/250`
 * @throws StartupError when it is none of these
 */
export async function setLimit(api: OpsClient, memberId: string, limit: string): Promise<Report> {
  const answer = limited.parse(await api.send('PUT', pathOf(memberId, 'limit'), { limit: limitIn(limit) }));
  const said =
    answer.limit === 'free'
      ? 'as many requests as they come'
      : `${answer.limit.rate} requests a second, ${answer.limit.burst} at once`;
  return { value: answer, text: `${memberId} now gets ${said}.` };
}

function limitIn(text: string): string | { rate: number; burst: number } {
  if (['usual', 'enterprise', 'free'].includes(text)) return text;
  const [, rate, burst] = /^(\d+(?:\.\d+)?)\/(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (rate !== undefined && burst !== undefined) return { rate: Number(rate), burst: Number(burst) };
  throw new StartupError('The limit must be usual, enterprise, free, or <rate>/<burst> such as 5/250.');
}

/** Ends a suspension at once, instead of at the next try. */
export async function resumePortal(api: OpsClient, memberId: string): Promise<Report> {
  const answer = resumed.parse(await api.send('POST', pathOf(memberId, 'resume')));
  const text = answer.resumed ? `${memberId} is called again.` : `${memberId} was not suspended.`;
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
