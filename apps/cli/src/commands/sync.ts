import {
  jobText,
  jobTrouble,
  portalSyncResponse,
  progressOf,
  syncJobResponse,
  typeText,
  waitingReason,
  type SyncJob,
  type SyncJobKind,
} from '@relay/admin-contract';
import { setTimeout as pause } from 'node:timers/promises';
import { StartupError } from '@relay/platform';
import type { Report } from '../program/command.js';
import type { AdminClient } from '../client/admin-client.js';
import { findPortal } from '../client/find-portal.js';
import { ProgressLine } from '../terminal/terminal.js';

const POLL_INTERVAL_MS = 500;
/**
 * Reads all items of the portal again, or compares them and repairs differences; shows the progress until the end. The
 * job continues if this command is stopped.
 * @throws StartupError if it failed
 */
export async function runSync(api: AdminClient, kind: SyncJobKind, portal: string): Promise<Report> {
  const { memberId } = await findPortal(api, portal);
  const { id } = syncJobResponse.parse(await api.send('POST', `${pathOf(memberId)}/${kind}`)).task;
  const ended = await followJob(api, memberId, id);
  if (ended.state === 'failed') {
    throw new StartupError(`The ${kind} failed: ${jobTrouble(ended)}`);
  }
  return { value: ended, text: `${summarize(ended)}\n${typeLines(ended).join('\n')}` };
}

/** Running jobs, and the last result of each kind. */
export async function syncStatus(api: AdminClient, portal: string): Promise<Report> {
  const { tasks } = portalSyncResponse.parse(
    await api.send('GET', pathOf((await findPortal(api, portal)).memberId)),
  );
  const text = tasks.map((one) => [summarize(one), ...typeLines(one)].join('\n')).join('\n\n');
  return { value: tasks, text: text || 'No job was requested yet; a new portal is read within seconds.' };
}

async function followJob(api: AdminClient, memberId: string, id: string): Promise<SyncJob> {
  const line = new ProgressLine(process.stderr);
  const since = performance.now();
  try {
    for (;;) {
      const { tasks } = portalSyncResponse.parse(await api.send('GET', pathOf(memberId)));
      const mine = tasks.find((one) => one.id === id);
      if (!mine) throw new StartupError('Somebody else requested this job again: see relay sync status.');
      if (mine.state === 'done' || mine.state === 'failed') return mine;
      const reason = mine.startedAt === null ? waitingReason(mine, tasks, performance.now() - since) : '';
      line.show(
        `${mine.kind}: ${reason || jobTrouble(mine) || jobText(mine) || 'waits'}`,
        progressOf(mine).part ?? 0,
      );
      await pause(POLL_INTERVAL_MS);
    }
  } finally {
    line.end();
  }
}

function summarize(job: SyncJob): string {
  const parts = [job.state, jobText(job), job.error ?? ''];
  return `${job.kind}: ${parts.filter((text) => text !== '').join(' · ')}`;
}

function typeLines(job: SyncJob): string[] {
  return progressOf(job).types.map((type) => `  ${type.entityTypeId}  ${type.title}  ${typeText(type)}`);
}

function pathOf(memberId: string): string {
  return `/sync/${encodeURIComponent(memberId)}`;
}
