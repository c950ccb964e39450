import { z } from 'zod';
import type { GivenOptions, Report } from './command.js';
import { formatAge } from './duration.js';
import type { OpsClient } from './ops-client.js';
import { formatTable } from './terminal.js';

const process_ = z.looseObject({ host: z.string(), pid: z.number(), isPaused: z.boolean() });
const status = z.looseObject({
  consumer: z.string(),
  waiting: z.number(),
  inHand: z.number(),
  retrying: z.number(),
  newer: z.number(),
  dead: z.number(),
  oldestAt: z.string().nullable(),
  shardsServed: z.number(),
  processes: z.array(process_),
  missing: z.boolean(),
  unknown: z.boolean(),
});
const listed = z.object({ consumers: z.array(status) });
const retired = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('retired'), dropped: z.number() }),
  z.object({ outcome: z.literal('draining'), status }),
]);
type Status = z.output<typeof status>;

const TITLES = ['consumer', 'waiting', 'oldest', 'in hand', 'retrying', 'dead', 'processes', ''];

export async function listConsumers(api: OpsClient): Promise<Report> {
  const { consumers } = listed.parse(await api.send('GET', '/consumers'));
  if (consumers.length === 0) return { value: consumers, text: 'No consumer has ever started here.' };
  const rows = consumers.map((one) => [
    one.consumer,
    one.waiting,
    formatAge(one.oldestAt),
    one.inHand,
    one.retrying,
    one.dead,
    one.processes.length,
    noteOn(one),
  ]);
  return { value: consumers, text: formatTable(TITLES, rows) };
}

function noteOn({ missing, unknown, newer, processes, shardsServed }: Status): string {
  if (missing) return 'NOBODY WORKS ON IT: start it';
  if (processes.some(({ isPaused }) => isPaused)) return 'PAUSED: every event fails; one at a time is tried';
  if (newer > 0) return `${newer} OF A NEWER VERSION wait for the upgrade`;
  if (unknown) return 'it has no queues on the bus';
  if (processes.length > 0 && shardsServed === 0) return 'its processes do not consume: see their logs';
  if (processes.length === 0 && shardsServed > 0)
    return 'a process that cannot report its state consumes its queues';
  return '';
}

/** The control plane rejects this if events would be lost, and says what to do. */
export async function retireConsumer(
  api: OpsClient,
  consumer: string,
  { drain = false, drop = false }: GivenOptions,
): Promise<Report> {
  const path = `/consumers/${encodeURIComponent(consumer)}/retire`;
  const answer = retired.parse(await api.send('POST', path, { drain, drop }));
  return { value: answer, text: formatRetired(consumer, answer) };
}

function formatRetired(consumer: string, answer: z.output<typeof retired>): string {
  if (answer.outcome === 'draining') {
    const { waiting, inHand, retrying, dead } = answer.status;
    return `${consumer} gets no new events until it starts again. ${waiting + inHand} waiting, ${retrying} retrying, ${dead} dead: see \`relay queues\`. When none is left, stop it and retire it.`;
  }
  const dropped = answer.dropped > 0 ? ` ${answer.dropped} events were deleted with it.` : '';
  return `${consumer} is retired: its queues are deleted.${dropped}`;
}
