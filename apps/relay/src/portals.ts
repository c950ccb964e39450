import { StartupError } from '@relay/platform';
import { z } from 'zod';
import { ask } from './ask.js';
import type { OpsClient } from './ops-client.js';

const listed = z.object({
  portals: z.array(
    z.looseObject({
      memberId: z.string(),
      domain: z.string(),
      state: z.string(),
      kind: z.string().nullable(),
    }),
  ),
});
const tested = z.object({ heard: z.boolean(), heardAfterMs: z.number().optional() });
const paired = z.object({ host: z.string() });

/** What a command has to say: `value` for `--json`, `text` for a person. */
export interface Report {
  value: unknown;
  text: string;
}

export async function listPortals(api: OpsClient): Promise<Report> {
  const { portals } = listed.parse(await api.send('GET', '/portals'));
  const lines = portals.map(
    ({ memberId, domain, state, kind }) => `${memberId}  ${state}  ${kind ?? '-'}  ${domain}`,
  );
  return { value: portals, text: lines.join('\n') || 'No portal is installed yet.' };
}

export async function addWebhookPair(api: OpsClient): Promise<Report> {
  const [webhookUrl = '', applicationToken = ''] = await ask([
    'Address of the incoming webhook (https://<portal>/rest/<user>/<secret>/)',
    'Application token of the outgoing webhook',
  ]);
  const answer = paired.parse(await api.send('POST', '/portals/webhook', { webhookUrl, applicationToken }));
  return {
    value: answer,
    text: `${answer.host} is registered with its first event: change something there that the outgoing webhook is for.`,
  };
}

/** @throws StartupError when the portal's test event does not come */
export async function testPortal(api: OpsClient, memberId: string): Promise<Report> {
  const answer = tested.parse(await api.send('POST', `/portals/${encodeURIComponent(memberId)}/test`));
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
    throw new StartupError(`The settings must be a JSON object, such as {"particles":"keep"}.`);
  const path = `/portals/${encodeURIComponent(memberId)}/settings/${encodeURIComponent(consumer)}`;
  await api.send('PUT', path, settings.data);
  return { value: settings.data, text: `Set for ${consumer} at ${memberId}; in force within seconds.` };
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
