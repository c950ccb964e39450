import { eventsResponse, resendResponse, type EventsResponse, type ListedEvent } from '@relay/admin-contract';
import { escapeUnprintable } from '@relay/platform';
import { LRUCache } from 'lru-cache';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import type { GivenOptions, Report } from '../program/command.js';
import type { AdminClient } from '../client/admin-client.js';
import { memberIdIn, readDomains } from '../client/find-portal.js';
import { formatTable } from '../terminal/terminal.js';

const TITLES = ['received', 'portal', 'event', 'entity', 'consumers', 'id', 'trace'];

/** The last events; with `--follow` it goes on until it is stopped. */
export async function listEvents(api: AdminClient, options: GivenOptions): Promise<Report> {
  const query = await queryOf(api, options);
  if (options.follow === true) return new Follower(api, query).run(options.limit);
  if (options.limit !== undefined) query.set('limit', String(options.limit));
  const found = await readPage(api, query);
  return { value: found, text: await formatPage(api, found) };
}

export async function resendEvent(api: AdminClient, id: string): Promise<Report> {
  const sent = resendResponse.parse(await api.send('POST', `/events/${encodeURIComponent(id)}/resend`));
  return { value: sent, text: `Sent to its consumers again, as ${sent.id}.` };
}

async function queryOf(
  api: AdminClient,
  { portal, thing, name, outcome }: GivenOptions,
): Promise<URLSearchParams> {
  const memberId = await memberIdIn(api, portal);
  return new URLSearchParams({
    ...(memberId !== undefined && { portal: memberId }),
    ...(thing !== undefined && { entity: thing }),
    ...(name !== undefined && { name }),
    ...(outcome !== undefined && { outcome }),
  });
}

async function readPage(api: AdminClient, query: URLSearchParams): Promise<EventsResponse> {
  return eventsResponse.parse(await api.send('GET', `/events?${query}`));
}

async function formatPage(api: AdminClient, { enabled, events, next }: EventsResponse): Promise<string> {
  const off = enabled ? [] : ['The event log is off: EVENT_LOG_DAYS of the control plane is 0.'];
  if (events.length === 0) return ['No event is in the log.', ...off].join(' ');
  const domains = await readDomains(api);
  const rows = events.toReversed().map((event) => cellsOf(event, domains));
  const more = next === null ? [] : ['There are earlier ones: --limit shows up to 1000'];
  return [formatTable(TITLES, rows), ...more, ...off].join('\n');
}

function cellsOf(event: ListedEvent, domains: ReadonlyMap<string, string>): string[] {
  const { receivedAt, memberId, entity, outcomes, id, traceId } = event;
  return [
    receivedAt,
    domains.get(memberId) ?? memberId,
    event.event,
    entity ?? '-',
    outcomes.map(outcomeText).join(', ') || '-',
    id,
    traceId ?? '',
  ];
}

function outcomeText({
  consumer,
  outcome,
  attempts,
  code,
  mergedInto,
}: ListedEvent['outcomes'][number]): string {
  const parts = [
    consumer,
    outcome,
    ...(code === null ? [] : [code]),
    ...(attempts > 0 ? [`after ${attempts} failed`] : []),
    ...(mergedInto === null ? [] : [`merged into ${mergedInto}`]),
  ];
  return parts.join(' ');
}

const POLL_MS = 1_000;
const PAGE = 200;
/** In one poll. Under more events than that a second, nobody reads them. */
const MAX_PAGES = 5;
const DEFAULT_SHOWN_FIRST = 10;
/** Events whose changes are noticed. */
const MAX_KNOWN = 10_000;

/** Writes each event when it appears, and again when a consumer has decided about it. JSON: one event a line. */
class Follower {
  /** By id, what was written of it. */
  private readonly known = new LRUCache<string, string>({ max: MAX_KNOWN });
  private domains = new Map<string, string>();
  private isClosed = false;

  constructor(
    private readonly api: AdminClient,
    private readonly query: URLSearchParams,
  ) {
    this.query.set('limit', String(PAGE));
  }

  /** Until the process is ended, or nobody reads what it writes. */
  async run(shownFirst = DEFAULT_SHOWN_FIRST): Promise<Report> {
    process.stdout.once('error', () => (this.isClosed = true));
    const { events, enabled } = await readPage(this.api, this.query);
    if (!enabled) process.stderr.write('The event log is off: EVENT_LOG_DAYS of the control plane is 0.\n');
    for (const event of events) this.known.set(event.id, stateOf(event));
    await this.write(events.slice(0, shownFirst));
    while (!this.isClosed) {
      await pause(POLL_MS);
      await this.write(
        (await this.readNews()).filter((event) => this.known.get(event.id) !== stateOf(event)),
      );
    }
    return { value: [], text: '' };
  }

  /** Pages from the last event back to one that is known. */
  private async readNews(): Promise<ListedEvent[]> {
    const news: ListedEvent[] = [];
    const query = new URLSearchParams(this.query);
    for (let page = 1; page <= MAX_PAGES; page += 1) {
      const { events, next } = await readPage(this.api, query);
      news.push(...events);
      if (next === null || events.some(({ id }) => this.known.has(id))) return news;
      query.set('before', next);
    }
    process.stderr.write('More events came than are shown.\n');
    return news;
  }

  private async write(events: readonly ListedEvent[]): Promise<void> {
    const { isForTerminal } = this.api;
    if (isForTerminal && events.some(({ memberId }) => !this.domains.has(memberId)))
      this.domains = await readDomains(this.api);
    for (const event of events.toReversed()) {
      this.known.set(event.id, stateOf(event));
      const line = isForTerminal
        ? cellsOf(event, this.domains).join('  ').trimEnd()
        : escapeUnprintable(JSON.stringify(event));
      if (!process.stdout.write(`${line}\n`) && !this.isClosed) await once(process.stdout, 'drain');
    }
  }
}

function stateOf({ outcomes }: ListedEvent): string {
  return JSON.stringify(outcomes);
}
