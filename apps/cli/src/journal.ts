import { journalsResponse, type ReportedJournal } from '@relay/admin-contract';
import type { Report } from './command.js';
import { formatAge } from './duration.js';
import type { OpsClient } from './ops-client.js';

const MEGABYTE = 1024 ** 2;
const DAY_MS = 24 * 3_600_000;

/** The journal of each gateway, as the gateway reported it a few seconds ago. */
export async function journalStatus(api: OpsClient): Promise<Report> {
  const { gateways } = journalsResponse.parse(await api.send('GET', '/journal'));
  const blocks = gateways.map((one) =>
    [...(gateways.length > 1 ? [`gateway ${one.pid} on ${one.host}`] : []), ...linesOf(one)].join('\n'),
  );
  const text = blocks.length > 0 ? blocks.join('\n\n') : 'NO GATEWAY REPORTS: events are not taken';
  return { value: { gateways }, text };
}

function linesOf(seen: ReportedJournal): string[] {
  const { slot, limits, isOpen, isBusAway, others } = seen;
  return [
    isBusAway ? 'The bus is away: events are kept here.' : 'The bus is there: events go onto it.',
    slot === null ? 'NO SLOT CAN BE OPENED: see the log' : `slot ${lineOf({ ...seen, slot })}`,
    `limits: ${limits.maxBytes / MEGABYTE} MB, and nothing more once the oldest is ${limits.maxAgeMs / DAY_MS} days old`,
    ...(isOpen ? [] : ['IT TAKES NO MORE EVENTS: it is full, or its disk cannot be written; see the log']),
    ...others.map((other) => `slot ${otherLine(other)}`),
  ];
}

function lineOf(
  seen: Omit<Extract<ReportedJournal['others'][number], { state: 'orphaned' }>, 'state'>,
): string {
  const { slot, events, bytes, oldestAt, newer, unreadable } = seen;
  const oldest = oldestAt === null ? '' : `, the oldest ${formatAge(oldestAt)} old`;
  const waiting = newer === 0 ? '' : `; ${newer} OF A NEWER VERSION wait for the upgrade`;
  const left = unreadable === 0 ? '' : `; ${unreadable} CANNOT BE READ, see the log`;
  return `${slot}: ${events} events, ${(bytes / MEGABYTE).toFixed(1)} MB${oldest}${waiting}${left}`;
}

function otherLine(other: ReportedJournal['others'][number]): string {
  switch (other.state) {
    case 'held':
      return `${other.slot}: held by another gateway`;
    case 'orphaned':
      return `${lineOf(other)}; left behind, emptied by this gateway`;
    case 'unreadable':
      return `${other.slot}: CANNOT BE READ, see the log`;
    default:
      return other satisfies never;
  }
}
