import { journalStatus, type JournalStatus } from '@relay/admin-contract';
import { listServiceProcesses, type ServiceProcess } from '@relay/platform';
import { existsSync } from 'node:fs';
import { mkdtemp, rmdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataSource } from 'typeorm';
import { z } from 'zod';
import { fetchDirectly } from '../client/admin-client.js';
import { ok, problemsOrOk, problem, skipped, type Finding } from './finding.js';
import type { Settings } from './environment.js';

const API_TIMEOUT_MS = 5_000;
/** As much as a journal takes. */
const DEFAULT_MIN_FREE_BYTES = 1024 ** 3;
const OLD_JOURNAL_MS = 10 * 60_000;
const GIGABYTE = 1024 ** 3;

/** Processes of the control plane and the gateway that have reported to the database lately, and their journals. */
export async function checkServices(
  dataSource: DataSource,
  settings: Settings,
  isAdminApiAsked = true,
): Promise<Finding[]> {
  const [controlPlanes, gateways] = await Promise.all([
    listServiceProcesses(dataSource, 'control-plane'),
    listServiceProcesses(dataSource, 'gateway'),
  ]);
  return [
    ...problemsOrOk(
      'control plane',
      controlPlanes.length > 0
        ? []
        : [
            'none has reported for 30 s: start it; until then new portals send no events, and most relay commands do not work',
          ],
      `${controlPlanes.length} at work`,
    ),
    ...problemsOrOk(
      'gateway',
      gateways.length > 0 ? [] : ['none has reported for 30 s: start it; until then events are lost'],
      `${gateways.length} at work`,
    ),
    ...checkJournals(gateways),
    ...(controlPlanes.length > 0 && isAdminApiAsked ? await checkToken(settings) : []),
  ];
}

const gatewayState = z.object({ journal: journalStatus });

function checkJournals(gateways: readonly ServiceProcess[]): Finding[] {
  if (gateways.length === 0) return [];
  const problems = gateways.flatMap(({ host, state }) => {
    const parsed = gatewayState.safeParse(state);
    // A report of another version.
    if (!parsed.success) return [];
    return journalProblems(parsed.data.journal).map((each) => `at ${host}: ${each}`);
  });
  return problemsOrOk('journal', problems, 'every gateway can store events');
}

function journalProblems({
  slot,
  isOpen,
  others,
  newer,
  unreadable,
  events,
  oldestAt,
}: JournalStatus): string[] {
  const isOld = oldestAt !== null && Date.now() - Date.parse(oldestAt) > OLD_JOURNAL_MS;
  return [
    ...(slot === null ? ['no slot can be opened: free space and check the mount of DATA_DIR'] : []),
    ...(isOpen ? [] : ['it accepts no more events: it is full, or its disk cannot be written']),
    ...(isOld
      ? [`${events} events wait, the oldest since ${oldestAt}: the bus does not accept them, see broker`]
      : []),
    ...(newer > 0 ? [`${newer} events of a newer version wait: finish the upgrade`] : []),
    ...(unreadable > 0
      ? [`${unreadable} events cannot be read: keep the folder, and see the log of the gateway`]
      : []),
    ...others
      .filter(({ state }) => state === 'unreadable')
      .map((other) => `slot ${other.slot} cannot be read: see the log of the gateway`),
  ];
}

/** Only where a control plane listens here: the command may run on another machine. */
async function checkToken({ OPS_PORT: port, OPS_TOKEN: token }: Settings): Promise<Finding[]> {
  if (port === undefined || token === undefined) return [];
  const url = `http://127.0.0.1:${port}/ops/api/journal`;
  const answer = await fetchDirectly(url, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(API_TIMEOUT_MS),
  }).catch(() => undefined);
  if (!answer || answer.status === 404) {
    return [skipped('admin API', `no control plane listens on OPS_PORT (${port}) of this machine`)];
  }
  await answer.body?.cancel();
  if (answer.status === 401) {
    return [
      problem('admin API', 'it rejects OPS_TOKEN; set the one that the control plane was started with'),
    ];
  }
  return [
    answer.ok
      ? ok('admin API', 'it answers, and takes OPS_TOKEN')
      : problem('admin API', `it answers ${answer.status}: see the log of the control plane`),
  ];
}

/** DATA_DIR of this machine, if there is one: a gateway's journal is there. */
export async function checkDisk(
  { DATA_DIR: folder }: Settings,
  isExpected: boolean,
  minFreeBytes = DEFAULT_MIN_FREE_BYTES,
): Promise<Finding[]> {
  if (folder === undefined) return [];
  if (!existsSync(folder)) {
    return isExpected
      ? [problem('disk', `DATA_DIR (${folder}) does not exist: make it, owned by the user of the gateway`)]
      : [skipped('disk', 'no DATA_DIR on this machine')];
  }
  try {
    // What a journal does, too: permissions alone do not tell about a file system that is mounted read-only.
    await rmdir(await mkdtemp(join(folder, '.doctor-')));
  } catch (error) {
    const code = z.object({ code: z.string() }).safeParse(error).data?.code ?? 'unknown error';
    return [
      problem(
        'disk',
        `DATA_DIR (${folder}) cannot be written (${code}): free space, check the mount and its owner`,
      ),
    ];
  }
  const { bavail, bsize } = await statfs(folder);
  const free = (bavail * bsize) / GIGABYTE;
  return [
    bavail * bsize < minFreeBytes
      ? problem(
          'disk',
          `only ${free.toFixed(1)} GB are free in DATA_DIR (${folder}): a journal takes one; free space`,
        )
      : ok('disk', `${free.toFixed(1)} GB are free in DATA_DIR`),
  ];
}
