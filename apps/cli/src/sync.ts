import { setTimeout as pause } from 'node:timers/promises';
import { StartupError } from '@relay/platform';
import { z } from 'zod';
import type { Report } from './command.js';
import { formatDuration } from './duration.js';
import type { OpsClient } from './ops-client.js';
import { ProgressLine } from './terminal.js';

const typeProgress = z.looseObject({
  entityTypeId: z.number(),
  title: z.string(),
  items: z.number(),
  isDone: z.boolean(),
});
const progress = z.looseObject({
  items: z.number().default(0),
  itemsPerSecond: z.number().default(0),
  /** 0 to 1. */
  part: z.number().default(0),
  secondsLeft: z.number().optional(),
  found: z.record(z.string(), z.number()).default({}),
  types: z.array(typeProgress).default([]),
  /** Descriptions of the portal's types that are invalid. */
  leftOut: z.record(z.string(), z.number()).default({}),
});
const task = z.looseObject({
  id: z.string(),
  kind: z.string(),
  state: z.enum(['waiting', 'running', 'done', 'failed']),
  error: z.string().nullable(),
  requestedAt: z.string(),
  startedAt: z.string().nullable(),
  endedAt: z.string().nullable(),
  progress,
});
type SyncTask = z.output<typeof task>;

const asked = z.object({ task });
const latest = z.object({ tasks: z.array(task) });
const portals = z.object({ portals: z.array(z.looseObject({ memberId: z.string(), domain: z.string() })) });

const POLL_INTERVAL_MS = 500;
/** The consumer polls every second: a job that has not begun by then has no consumer, or one busy with this portal. */
const START_TIMEOUT_MS = 15_000;

/**
 * Reads all items of the portal again, or compares them and repairs differences; shows the progress until the end. The
 * job continues if this command is stopped.
 * @throws StartupError if it failed
 */
export async function runSync(
  api: OpsClient,
  kind: 'backfill' | 'reconcile',
  portal: string,
): Promise<Report> {
  const memberId = await memberIdOf(api, portal);
  const { id } = asked.parse(await api.send('POST', `${pathOf(memberId)}/${kind}`)).task;
  const ended = await followTask(api, memberId, id);
  if (ended.state === 'failed') {
    throw new StartupError(`The ${kind} failed: ${ended.error ?? 'the log of smart-process-sync says why'}`);
  }
  return { value: ended, text: `${summarize(ended)}\n${typeLines(ended).join('\n')}` };
}

/** Running jobs, and the last result of each kind. */
export async function syncStatus(api: OpsClient, portal: string): Promise<Report> {
  const { tasks } = latest.parse(await api.send('GET', pathOf(await memberIdOf(api, portal))));
  const text = tasks.map((one) => [summarize(one), ...typeLines(one)].join('\n')).join('\n\n');
  return { value: tasks, text: text || 'No job was requested yet; a new portal is read within seconds.' };
}

async function followTask(api: OpsClient, memberId: string, id: string): Promise<SyncTask> {
  const line = new ProgressLine(process.stderr);
  const since = performance.now();
  try {
    for (;;) {
      const { tasks } = latest.parse(await api.send('GET', pathOf(memberId)));
      const mine = tasks.find((one) => one.id === id);
      if (!mine) throw new StartupError('Somebody else requested this job again: see relay sync status.');
      if (mine.state === 'done' || mine.state === 'failed') return mine;
      const isLate = mine.startedAt === null && performance.now() - since > START_TIMEOUT_MS;
      line.show(isLate ? `${waitingFor(tasks, mine)} …` : progressText(mine), mine.progress.part);
      await pause(POLL_INTERVAL_MS);
    }
  } finally {
    line.end();
  }
}

function waitingFor(tasks: readonly SyncTask[], mine: SyncTask): string {
  const running = tasks.find(({ id, state }) => id !== mine.id && state === 'running');
  if (running) return `waiting for the end of the ${running.kind} of this portal: ${progressText(running)}`;
  return 'waiting: is smart-process-sync running?';
}

function progressText({
  kind,
  progress: { items, itemsPerSecond, secondsLeft },
  error,
  state,
}: SyncTask): string {
  if (state === 'waiting' && error !== null) return `${kind}: ${error}, retrying`;
  const left = secondsLeft === undefined ? '' : `, ${formatDuration(secondsLeft)} left`;
  return `${kind}: ${formatCount(items)} items, ${formatCount(itemsPerSecond)} a second${left}`;
}

function summarize({
  kind,
  state,
  progress: { items, found, leftOut },
  startedAt,
  endedAt,
  error,
}: SyncTask): string {
  const took =
    startedAt !== null && endedAt !== null
      ? ` in ${formatDuration((Date.parse(endedAt) - Date.parse(startedAt)) / 1_000)}`
      : '';
  const differences = Object.entries(found).map(([what, count]) => `${formatCount(count)} ${what}`);
  const differing = kind === 'reconcile' ? `; ${differences.join(', ')}` : '';
  const without = Object.entries(leftOut)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${formatCount(count)} ${what}`);
  const omitted = without.length > 0 ? `; left out: ${without.join(', ')}` : '';
  return `${kind}: ${state}, ${formatCount(items)} items${took}${differing}${omitted}${error === null ? '' : `; ${error}`}`;
}

function typeLines({ progress: { types } }: SyncTask): string[] {
  return types.map(
    ({ entityTypeId, title, items, isDone }) =>
      `  ${entityTypeId}  ${title}  ${formatCount(items)}${isDone ? '' : ', incomplete'}`,
  );
}

/** Finds a portal by its member_id, its domain, or the domain's first label. @throws StartupError for none, or several */
async function memberIdOf(api: OpsClient, name: string): Promise<string> {
  const all = portals.parse(await api.send('GET', '/portals')).portals;
  const meant = [
    all.filter(({ memberId }) => memberId === name),
    all.filter(({ domain }) => domain === name),
    all.filter(({ domain }) => domain.split(/[.:/]/)[0] === name),
  ].find((found) => found.length > 0);
  if (!meant) throw new StartupError(`There is no portal ${name}: see relay portals.`);
  const [portal, ...others] = meant;
  if (!portal || others.length > 0)
    throw new StartupError(`${name} matches several portals: give the member_id.`);
  return portal.memberId;
}

function pathOf(memberId: string): string {
  return `/sync/${encodeURIComponent(memberId)}`;
}

function formatCount(count: number): string {
  return count.toLocaleString('en');
}
