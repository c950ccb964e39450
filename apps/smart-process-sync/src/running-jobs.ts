import { gauge } from '@relay/platform';
import type { Speed } from './progress.js';

type JobKind = 'backfill' | 'reconcile';
type RunningJobs = ReadonlySet<{ speed: () => Speed }>;

/** Jobs of this process. */
const runningJobs: Record<JobKind, Set<{ speed: () => Speed }>> = {
  backfill: new Set(),
  reconcile: new Set(),
};

/** Shows a job in the metrics until it ends, with or without an error. */
export async function track<T>(
  work: JobKind,
  progress: { speed: () => Speed },
  done: () => Promise<T>,
): Promise<T> {
  runningJobs[work].add(progress);
  try {
    return await done();
  } finally {
    runningJobs[work].delete(progress);
  }
}

createJobGauge(
  'relay_sync_running',
  'Portals that this process backfills or reconciles now',
  ({ size }) => size,
);
createJobGauge(
  'relay_sync_running_items',
  'Items that the running tasks have been through so far',
  (running) => sum([...running].map((progress) => progress.speed().items)),
);
createJobGauge(
  'relay_sync_running_items_per_second',
  'Items a second of the running tasks together',
  (running) => sum([...running].map((progress) => progress.speed().itemsPerSecond)),
);
createJobGauge(
  'relay_sync_running_seconds_left',
  'How long the slowest of the running tasks will still take, by the ids that are left; 0 when none runs or nobody can tell',
  (running) => Math.max(0, ...[...running].map((progress) => progress.speed().secondsLeft ?? 0)),
);

/** By kind of work, over all portals, since there are thousands. Computed only at a scrape. */
function createJobGauge(name: string, help: string, read: (running: RunningJobs) => number): void {
  const made = gauge({
    name,
    help,
    labelNames: ['work'],
    collect: () => {
      for (const [work, running] of Object.entries(runningJobs)) made.set({ work }, read(running));
    },
  });
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
