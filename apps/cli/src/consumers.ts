import { z } from 'zod';
import { formatTable } from './table.js';
import type { GivenOptions } from './command.js';
import { formatAge } from './duration.js';
import type { OpsClient } from './ops-client.js';
import type { Report } from './report.js';

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
  if (processes.some(({ isPaused }) => isPaused))
    return 'PAUSED: everything fails, one event at a time is tried';
  if (newer > 0) return `${newer} OF A NEWER VERSION wait for the upgrade`;
  if (unknown) return 'nothing stands for it on the bus';
  if (processes.length > 0 && shardsServed === 0) return 'its processes do not consume: see their logs';
  if (processes.length === 0 && shardsServed > 0) return 'a process serves it that cannot report itself';
  return '';
}

/** The gateway refuses if events would be lost, and says what to do. */
export async function retireConsumer(
  api: OpsClient,
  consumer: string,
  { drain = false, drop = false }: GivenOptions,
): Promise<Report> {
  const path = `/consumers/${encodeURIComponent(consumer)}/retire`;
  const answer = retired.parse(await api.send('POST', path, { drain, drop }));
  return { value: answer, text: textOf(consumer, answer) };
}

function textOf(consumer: string, answer: z.output<typeof retired>): string {
  if (answer.outcome === 'draining') {
    const { waiting, inHand, retrying, dead } = answer.status;
    return `${consumer} gets no more events until it is started again. ${waiting + inHand} wait, ${retrying} retry, ${dead} lie dead: see \`relay queues\`; stop it when none is left, then retire it.`;
  }
  const dropped = answer.dropped > 0 ? ` ${answer.dropped} events were dropped with it.` : '';
  return `${consumer} is retired: nothing stands for it any more.${dropped}`;
}
