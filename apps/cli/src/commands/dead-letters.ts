import {
  deadLetterDropResponse,
  deadLetterReplayResponse,
  deadLetterResponse,
  deadLettersResponse,
  type DeadLetterPage,
  type DeadLettersResponse,
} from '@relay/admin-contract';
import type { GivenOptions, Report } from '../program/command.js';
import { pause } from '@relay/platform';
import type { AdminClient } from '../client/admin-client.js';
import { memberIdIn, readDomains } from '../client/find-portal.js';
import { formatAge, formatTable } from '../terminal/terminal.js';
import { UsageError } from '../arguments/usage-error.js';

const TITLES = ['consumer', 'id', 'died', 'attempts', 'error', 'portal', 'domain', 'event', 'entity'];
const TRUNCATED_HINT =
  'There are more dead letters than one request scans: handle the oldest first, or filter by --consumer.';

/** Many dead letters of RabbitMQ are read once, in the control plane, before the first list. */
const READING_EVERY_MS = 1_000;
const MAX_READING_MS = 120_000;
/** A list that is younger is that of now. */
const MAX_UNSAID_AGE_MS = 5_000;

export async function listDead(api: AdminClient, options: GivenOptions): Promise<Report> {
  const query = new URLSearchParams(Object.entries(await filtersIn(api, options)));
  if (options.limit !== undefined) query.set('limit', String(options.limit));
  if (options.after !== undefined) {
    if (options.consumer === undefined) throw new UsageError('--after needs the --consumer of that one.');
    query.set('after', options.after);
  }
  const found = await readList(api, query);
  const { deadLetters, matching, complete, next } = found;
  const age = ageHint(found);
  if (matching === 0) {
    const text = complete ? 'No dead letters.' : `None found. ${TRUNCATED_HINT}`;
    return { value: found, text: [text, ...age].join('\n') };
  }
  const domains = await readDomains(api);
  const rows = deadLetters.map(({ consumer, id, lastFailedAt, attempts, code, memberId, event, entity }) => [
    consumer,
    id,
    lastFailedAt === null ? '-' : `${formatAge(lastFailedAt)} ago`,
    attempts,
    code,
    memberId ?? '-',
    domains.get(memberId ?? '') ?? '-',
    event ?? '-',
    entity ?? '-',
  ]);
  const more = matching - deadLetters.length;
  const lines = [
    formatTable(TITLES, rows),
    ...(more > 0
      ? [
          `and ${complete ? '' : 'at least '}${more} more: --limit shows up to 1000${next === undefined ? '' : `, --after ${next} the next ones`}`,
        ]
      : []),
    ...(complete || next !== undefined ? [] : [TRUNCATED_HINT]),
    ...age,
  ];
  return { value: found, text: lines.join('\n') };
}

/** Once all of them are read, or enough for the page. */
async function readList(api: AdminClient, query: URLSearchParams): Promise<DeadLettersResponse> {
  const deadline = performance.now() + MAX_READING_MS;
  for (;;) {
    const found = deadLettersResponse.parse(await api.send('GET', `/dead-letters?${query}`));
    if (found.countedAt !== null || found.next !== undefined || performance.now() >= deadline) return found;
    await pause(READING_EVERY_MS);
  }
}

function ageHint({ countedAt }: DeadLettersResponse): string[] {
  if (countedAt === null) return ['They are still being read: ask again for all of them.'];
  const isOld = Date.now() - Date.parse(countedAt) > MAX_UNSAID_AGE_MS;
  return isOld ? [`As of ${formatAge(countedAt)} ago: later ones are not in it yet.`] : [];
}

export async function showDead(api: AdminClient, consumer: string, id: string): Promise<Report> {
  const path = `/dead-letters/${[consumer, id].map(encodeURIComponent).join('/')}`;
  const one = deadLetterResponse.parse(await api.send('GET', path));
  const { code, message, attempts, firstFailedAt, lastFailedAt, content } = one;
  const lines = [
    `${code}: ${message}`,
    `attempts ${attempts}, first ${firstFailedAt ?? '-'}, last ${lastFailedAt ?? '-'}`,
    typeof content === 'string' ? content : JSON.stringify(content, undefined, 2),
  ];
  return { value: one, text: lines.join('\n') };
}

/** Each request replays for some seconds; this repeats it until none is left. Ctrl-C loses nothing. */
export async function replayDead(api: AdminClient, options: GivenOptions): Promise<Report> {
  const { rate } = options;
  const total = await runPages(api, options, async (body) => {
    const answer = deadLetterReplayResponse.parse(
      await api.send('POST', '/dead-letters/replay', { ...body, rate }),
    );
    return { ...answer, deadLetters: answer.replayed };
  });
  return { value: { replayed: total.deadLetters }, text: formatTotal(total, 'replayed to their consumers') };
}

export async function dropDead(api: AdminClient, options: GivenOptions): Promise<Report> {
  const total = await runPages(api, options, async (body) => {
    const answer = deadLetterDropResponse.parse(
      await api.send('POST', '/dead-letters/drop', { ...body, all: options.all }),
    );
    return { ...answer, deadLetters: answer.dropped };
  });
  return { value: { dropped: total.deadLetters }, text: formatTotal(total, 'dropped') };
}

interface Page extends DeadLetterPage {
  deadLetters: number;
}

async function runPages(
  api: AdminClient,
  options: GivenOptions,
  request: (body: Record<string, unknown>) => Promise<Page>,
): Promise<Page> {
  const { limit = Infinity } = options;
  const filters = { ...(await filtersIn(api, options)), ...(options.id !== undefined && { id: options.id }) };
  const total: Page = { deadLetters: 0, done: false, complete: true, until: '' };
  while (!total.done && total.deadLetters < limit) {
    const left = limit === Infinity ? undefined : limit - total.deadLetters;
    const body = { ...filters, ...(total.until !== '' && { until: total.until }), limit: left };
    const { deadLetters: count, ...answer } = await request({ ...body, from: total.next });
    Object.assign(total, answer);
    total.deadLetters += count;
    if (!total.done && process.stderr.isTTY) process.stderr.write(`${total.deadLetters} so far\n`);
  }
  return total;
}

function formatTotal({ deadLetters, complete }: Page, what: string): string {
  const text = deadLetters === 1 ? `1 dead letter ${what}.` : `${deadLetters} dead letters ${what}.`;
  return complete || deadLetters > 0 ? text : `${text} ${TRUNCATED_HINT}`;
}

async function filtersIn(
  api: AdminClient,
  { consumer, portal, error, since, until }: GivenOptions,
): Promise<Record<string, string>> {
  const memberId = await memberIdIn(api, portal);
  return {
    ...(consumer !== undefined && { consumer }),
    ...(memberId !== undefined && { portal: memberId }),
    ...(error !== undefined && { error }),
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
  };
}
