import { z } from 'zod';
import type { Report } from './command.js';
import { formatAge } from './duration.js';
import type { OpsClient } from './ops-client.js';

const contents = z.object({
  slot: z.number(),
  events: z.number(),
  bytes: z.number(),
  oldestAt: z.string().nullable(),
  newer: z.number(),
  unreadable: z.number(),
});
const status = contents.extend({
  slot: z.number().nullable(),
  limits: z.object({ maxBytes: z.number(), maxAgeMs: z.number() }),
  isOpen: z.boolean(),
  isBusAway: z.boolean(),
  others: z.array(
    z.discriminatedUnion('state', [
      contents.extend({ state: z.literal('orphaned') }),
      z.object({ slot: z.number(), state: z.literal('held') }),
      z.object({ slot: z.number(), state: z.literal('unreadable') }),
    ]),
  ),
});
type Status = z.output<typeof status>;

const MEGABYTE = 1024 ** 2;
const DAY_MS = 24 * 3_600_000;

export async function journalStatus(api: OpsClient): Promise<Report> {
  const answer = status.parse(await api.send('GET', '/journal'));
  const { slot, limits, isOpen, isBusAway, others } = answer;
  const lines = [
    isBusAway ? 'The bus is away: events are kept here.' : 'The bus is there: events go onto it.',
    slot === null ? 'NO SLOT CAN BE OPENED: see the log' : `slot ${lineOf({ ...answer, slot })}`,
    `limits: ${limits.maxBytes / MEGABYTE} MB, and nothing more once the oldest is ${limits.maxAgeMs / DAY_MS} days old`,
    ...(isOpen ? [] : ['IT TAKES NO MORE EVENTS: it is full, or its disk cannot be written; see the log']),
    ...others.map((other) => `slot ${otherLine(other)}`),
  ];
  return { value: answer, text: lines.join('\n') };
}

function lineOf(seen: z.output<typeof contents>): string {
  const { slot, events, bytes, oldestAt, newer, unreadable } = seen;
  const oldest = oldestAt === null ? '' : `, the oldest ${formatAge(oldestAt)} old`;
  const waiting = newer === 0 ? '' : `; ${newer} OF A NEWER VERSION wait for the upgrade`;
  const left = unreadable === 0 ? '' : `; ${unreadable} CANNOT BE READ, see the log`;
  return `${slot}: ${events} events, ${(bytes / MEGABYTE).toFixed(1)} MB${oldest}${waiting}${left}`;
}

function otherLine(other: Status['others'][number]): string {
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
