import {
  moveResponse,
  topologyResponse,
  unroutedReplayResponse,
  unroutedResponse,
  type MoveResponse,
  type TopologyPart,
} from '@relay/admin-contract';
import type { GivenOptions, Report } from './command.js';
import { formatAge, parseTime } from './duration.js';
import type { OpsClient } from './ops-client.js';
import { formatTable } from './terminal.js';

/** The exit code is 1 if anything is wrong, for scripts. */
export async function checkTopology(api: OpsClient): Promise<Report> {
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

export async function listUnrouted(api: OpsClient): Promise<Report> {
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
  api: OpsClient,
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
export async function moveBus(api: OpsClient): Promise<Report> {
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
    return 'There is no previous bus: neither AMQP_URL nor PREVIOUS_AMQP_URL is set at the gateway.';
  const lines = [`Moved from the previous bus: ${countOfMoved(total)}.`];
  for (const name of total.failed) lines.push(`${name} COULD NOT BE MOVED: see the log of the gateway`);
  for (const name of total.served)
    lines.push(`${name}: its processes still use the previous bus; stop them, and its messages are moved`);
  return lines.join('\n');
}

function countOfMoved({ messages, letters, unrouted }: MoveResponse): string {
  return `${messages} events, ${letters} dead letters, ${unrouted} unrouted events`;
}
