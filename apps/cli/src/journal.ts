import { journalsLines, journalsResponse } from '@relay/admin-contract';
import type { Report } from './command.js';
import type { OpsClient } from './ops-client.js';

/** The journal of each gateway, as the gateway reported it a few seconds ago. */
export async function journalStatus(api: OpsClient): Promise<Report> {
  const value = journalsResponse.parse(await api.send('GET', '/journal'));
  const lines = journalsLines(value.gateways).map(({ text }) => text);
  return { value, text: lines.join('\n') };
}
