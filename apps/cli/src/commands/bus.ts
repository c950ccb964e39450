import {
  consumerNote,
  consumersResponse,
  journalsLines,
  journalsResponse,
  moveResponse,
  registerResponse,
  retireResponse,
  retriesResponse,
  topologyResponse,
  unroutedReplayResponse,
  unroutedResponse,
  type MoveResponse,
  type RetireResponse,
  type TopologyPart,
} from '@relay/admin-contract';
import type { GivenOptions, Report } from '../program/command.js';
import type { AdminClient } from '../client/admin-client.js';
import { memberIdIn, readDomains } from '../client/find-portal.js';
import { formatAge, formatUntil, formatTable } from '../terminal/terminal.js';
import { UsageError } from '../arguments/usage-error.js';

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

const RETRY_TITLES = ['consumer', 'due', 'attempts', 'error', 'portal', 'domain', 'event', 'entity'];

/** Events that wait for their next attempt, the next ones first. */
export async function listRetries(
  api: AdminClient,
  { consumer, portal, limit }: GivenOptions,
): Promise<Report> {
  const memberId = await memberIdIn(api, portal);
  const query = new URLSearchParams({
    ...(consumer !== undefined && { consumer }),
    ...(memberId !== undefined && { portal: memberId }),
    ...(limit !== undefined && { limit: String(limit) }),
  });
  const found = retriesResponse.parse(await api.send('GET', `/retries?${query}`));
  const { retries, matching, complete } = found;
  const partial = complete ? [] : ['There are more than one request scans.'];
  if (matching === 0) return { value: found, text: ['No event waits for a retry.', ...partial].join(' ') };
  const domains = await readDomains(api);
  const rows = retries.map((one) => [
    one.consumer,
    one.dueAt === null ? '-' : formatUntil(one.dueAt),
    one.attempts,
    one.code ?? '-',
    one.memberId ?? '-',
    domains.get(one.memberId ?? '') ?? '-',
    one.event ?? '-',
    one.entity ?? '-',
  ]);
  const more = matching - retries.length;
  const lines = [
    formatTable(RETRY_TITLES, rows),
    ...(more > 0 ? [`and ${more} more: --limit shows up to 1000`] : []),
    ...partial,
  ];
  return { value: found, text: lines.join('\n') };
}

/** For a consumer that is not made with this repository: one that is says by itself which events it wants. */
export async function registerConsumer(
  api: AdminClient,
  consumer: string,
  { events }: GivenOptions,
): Promise<Report> {
  if (events === undefined)
    throw new UsageError('--events is missing, such as --events ONCRMDEALADD,ONCRMDEALUPDATE');
  const path = `/consumers/${encodeURIComponent(consumer)}`;
  const answer = registerResponse.parse(await api.send('PUT', path, { events }));
  const doubtful =
    answer.undocumented.length > 0
      ? `\nNot documented by Bitrix24, so look for a slip: ${answer.undocumented.join(', ')}`
      : '';
  const text = `${consumer} gets ${answer.events.join(', ')}: its queues are there, and the portals are asked for these events.${doubtful}`;
  return { value: answer, text };
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
  const filter = { portal: await memberIdIn(api, portal), since, until };
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
