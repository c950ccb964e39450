import { consumerNote, consumersResponse, retireResponse, type RetireResponse } from '@relay/admin-contract';
import type { GivenOptions, Report } from './command.js';
import { formatAge } from './duration.js';
import type { OpsClient } from './ops-client.js';
import { formatTable } from './terminal.js';

const TITLES = ['consumer', 'waiting', 'oldest', 'in hand', 'retrying', 'dead', 'processes', ''];

export async function listConsumers(api: OpsClient): Promise<Report> {
  const { consumers } = consumersResponse.parse(await api.send('GET', '/consumers'));
  if (consumers.length === 0) return { value: consumers, text: 'No consumer has ever started here.' };
  const rows = consumers.map((one) => [
    one.consumer,
    one.waiting,
    formatAge(one.oldestAt),
    one.inHand,
    one.retrying,
    one.dead,
    one.processes.length,
    consumerNote(one)?.text ?? '',
  ]);
  return { value: consumers, text: formatTable(TITLES, rows) };
}

/** The control plane rejects this if events would be lost, and says what to do. */
export async function retireConsumer(
  api: OpsClient,
  consumer: string,
  { drain = false, drop = false }: GivenOptions,
): Promise<Report> {
  const path = `/consumers/${encodeURIComponent(consumer)}/retire`;
  const answer = retireResponse.parse(await api.send('POST', path, { drain, drop }));
  return { value: answer, text: formatRetired(consumer, answer) };
}

function formatRetired(consumer: string, answer: RetireResponse): string {
  if (answer.outcome === 'draining') {
    const { waiting, inHand, retrying, dead } = answer.status;
    return `${consumer} gets no new events until it starts again. ${waiting + inHand} waiting, ${retrying} retrying, ${dead} dead: see \`relay queues\`. When none is left, stop it and retire it.`;
  }
  const dropped = answer.dropped > 0 ? ` ${answer.dropped} events were deleted with it.` : '';
  return `${consumer} is retired: its queues are deleted.${dropped}`;
}
