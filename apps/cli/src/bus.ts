import {
  consumerNote,
  consumersResponse,
  journalsLines,
  journalsResponse,
  moveResponse,
  retireResponse,
  topologyResponse,
  unroutedReplayResponse,
  unroutedResponse,
  type MoveResponse,
  type RetireResponse,
  type TopologyPart,
} from '@relay/admin-contract';
import type { GivenOptions, Report } from './command.js';
import { formatAge, parseTime } from './duration.js';
import type { AdminClient } from './admin-client.js';
import { formatTable } from './terminal.js';

const TITLES = ['consumer', 'waiting', 'oldest', 'in hand', 'retrying', 'dead', 'processes', ''];

export async function listConsumers(api: AdminClient): Promise<Report> {
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
  api: AdminClient,
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

/** The journal of each gateway, as the gateway reported it a few seconds ago. */
export async function journalStatus(api: AdminClient): Promise<Report> {
  const value = journalsResponse.parse(await api.send('GET', '/journal'));
  const lines = journalsLines(value.gateways).map(({ text }) => text);
  return { value, text: lines.join('\n') };
}

/** The exit code is 1 if anything is wrong, for scripts. */
export async function checkTopology(api: AdminClient): Promise<Report> {
  const answer = topologyResponse.parse(await api.send('GET', '/topology'));
  const wrong = answer.topology.filter(({ state }) => state !== 'ok');
  const lines = [...summarize(answer.topology), ...wrong.map(formatPart)];
  if (answer.ok) lines.push('Every queue and exchange is as it must be.');
  lines.push(
    ...answer.repairs.map(
      ({ kind, name, at }) => `${kind} ${name} was missing and was declared again ${formatAge(at)} ago`,
    ),
  );
  return { value: answer, text: lines.join('\n'), exitCode: answer.ok ? 0 : 1 };
}

/** One line for shared objects, and one for each consumer. */
function summarize(parts: readonly TopologyPart[]): string[] {
  const owners = new Set(parts.map(({ consumer }) => consumer));
  return [...owners].map((owner) => {
    const own = parts.filter(({ consumer }) => consumer === owner);
    const counted = [...new Set(own.map(({ kind }) => kind))].map((kind) => countOfKind(kind, own));
    return `${owner ?? 'for all'}: ${counted.join(', ')}`;
  });
}

function countOfKind(kind: string, parts: readonly TopologyPart[]): string {
  const all = parts.filter((one) => one.kind === kind);
  return `${kind} ${all.filter(({ state }) => state === 'ok').length}/${all.length}`;
}

function formatPart({ kind, name, state, detail }: TopologyPart): string {
  const labels = { missing: 'IS MISSING', different: 'IS DIFFERENT', unavailable: 'DOES NOT ANSWER', ok: '' };
  return `${kind} ${name} ${labels[state]}${detail === null ? '' : `: ${detail}`}`;
}

export async function listUnrouted(api: AdminClient): Promise<Report> {
  const { unrouted } = unroutedResponse.parse(await api.send('GET', '/unrouted'));
  if (unrouted.length === 0) {
    return {
      value: unrouted,
      text: 'No unrouted events: a consumer subscribes to every event that has arrived.',
    };
  }
  const rows = unrouted.map(({ name, events, portals, lastAt }) => [
    name,
    events,
    portals,
    `${formatAge(lastAt)} ago`,
  ]);
  return { value: unrouted, text: formatTable(['event', 'events', 'portals', 'last'], rows) };
}

/** Replays the events to which consumers subscribe by now; the others stay. */
export async function replayUnrouted(
  api: AdminClient,
  { portal, since, until }: GivenOptions,
): Promise<Report> {
  const filter = {
    portal,
    since: since === undefined ? undefined : parseTime(since),
    until: until === undefined ? undefined : parseTime(until),
  };
  const answer = unroutedReplayResponse.parse(await api.send('POST', '/unrouted/replay', filter));
  const rest =
    answer.left > 0
      ? `, ${answer.left} stay: no consumer subscribes to them, or the filter excludes them`
      : '';
  return { value: answer, text: `${answer.replayed} replayed to their consumers${rest}.` };
}

/** Each request moves for some seconds; this repeats it until nothing is left. The exit code is 1 if something could not be moved. */
export async function moveBus(api: AdminClient): Promise<Report> {
  let total = moveResponse.parse(await api.send('POST', '/bus/move'));
  while (!total.done && total.failed.length === 0) {
    if (process.stderr.isTTY) process.stderr.write(`${countOfMoved(total)} so far\n`);
    const next = moveResponse.parse(await api.send('POST', '/bus/move'));
    total = {
      ...next,
      messages: total.messages + next.messages,
      letters: total.letters + next.letters,
      unrouted: total.unrouted + next.unrouted,
    };
  }
  return { value: total, text: formatMoved(total), exitCode: total.failed.length > 0 ? 1 : 0 };
}

function formatMoved(total: MoveResponse): string {
  if (total.none)
    return 'There is no previous bus: neither AMQP_URL nor PREVIOUS_AMQP_URL is set at the control plane.';
  const lines = [`Moved from the previous bus: ${countOfMoved(total)}.`];
  for (const name of total.failed) lines.push(`${name} COULD NOT BE MOVED: see the log of the control plane`);
  for (const name of total.served)
    lines.push(`${name}: its processes still use the previous bus; stop them, and its messages are moved`);
  return lines.join('\n');
}

function countOfMoved({ messages, letters, unrouted }: MoveResponse): string {
  return `${messages} events, ${letters} dead letters, ${unrouted} unrouted events`;
}
