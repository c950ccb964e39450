import { Inject, Injectable, Optional } from '@nestjs/common';
import {
  Bitrix24Error,
  type Command,
  type CommandOutcome,
  ENTITY_TYPE_IDS,
  listOf,
  MAX_BATCH_COMMANDS,
  PAGE_SIZE,
  type PortalClient,
} from '@relay/bitrix24';
import { CONSUMER_LOG, EVENT_PUBLISHER, type EventPublisher } from '@relay/consumer';
import { openOfflineEvent, parseEventName, type PortalEvent } from '@relay/events';
import { type JobProgress, type JobRun, JobYieldedError } from '@relay/jobs';
import { counter, guidanceOf, type Log } from '@relay/platform';
import { EventGaps, OFFLINE_PULLER, PortalClients, Subscriptions } from '@relay/portals';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { publishAll } from './pull-session.js';

const published = counter({
  name: 'relay_offline_caught_up_total',
  help: 'Events of items that changed in a time whose events were missed.',
});

/** Nobody knows the portal's clock; it may be an hour off, or a bit more. */
const CLOCK_SLACK_MS = 2 * 3_600_000;
const LIMITS = {
  /** A portal that lists for ever is not asked for ever, in however many runs: five million items. */
  requests: 2_000,
  /** After this time a slow portal leaves its slot to others that wait. */
  turnMs: 60_000,
};
/** Far more than any portal has: 2,500 types. */
const MAX_TYPE_PAGES = 50;
/** In one request. Few portals have more than one page. */
const TYPE_PAGES_AT_ONCE = 10;
/** Of a catch-up that has failed for more than an hour. */
const AGAIN_AFTER = `interval '1 hour'`;
/** As long as gaps are kept: what fails until then fails for ever. */
const AGAIN_FOR = `interval '30 days'`;
/** Failures in succession, in a quarter of an hour, after which a type that the portal cannot list holds up no other. */
const PATIENCE = 9;
const LIST = 'crm.item.list';
const LIST_TYPES = 'crm.type.list';
/** Kind of the jobs. */
export const CATCH_UP_JOB = 'catch-up';

/** Object types of the CRM by the family of their events; smart processes and new invoices share one. */
const TYPE_IDS: ReadonlyMap<string, number> = new Map([
  ['ONCRMLEAD', ENTITY_TYPE_IDS.lead],
  ['ONCRMDEAL', ENTITY_TYPE_IDS.deal],
  ['ONCRMCONTACT', ENTITY_TYPE_IDS.contact],
  ['ONCRMCOMPANY', ENTITY_TYPE_IDS.company],
  ['ONCRMQUOTE', ENTITY_TYPE_IDS.quote],
]);
const DYNAMIC_ITEM = 'ONCRMDYNAMICITEM';
const CHANGE = /^(ONCRM[A-Z]+?)(ADD|UPDATE)$/;

/** Items of one type whose events are wanted, and how far they are read. */
interface Cursor {
  readonly entityTypeId: number;
  /** `ONCRMCONTACT`. */
  readonly family: string;
  readonly verbs: ReadonlySet<string>;
  /** Everything up to this id has been published. */
  after: string;
}

interface Run {
  /** Before each request. */
  readonly count: () => void;
  /** Whether what fails may yet pass. */
  readonly isPatient: boolean;
  readonly signal: AbortSignal;
}

const itemId = z
  .union([z.int().positive(), z.string().regex(/^[1-9]\d{0,17}$/)])
  .transform((id) => String(id));
const time = z.string().max(64).optional().catch(undefined);
const page = z.object({
  items: listOf(z.object({ id: itemId, createdTime: time, updatedTime: time })),
});
type ListedItem = z.output<typeof page>['items'][number];
const typesPage = z.object({
  types: listOf(z.object({ entityTypeId: z.coerce.number().pipe(z.int32().positive()) })),
});
/** What a run has reported, and the next one goes on from. */
const progressShape = z
  .object({
    gap: z.string(),
    events: z.int(),
    requests: z.int().default(0),
    after: z.record(z.string(), z.string()),
    ended: z.array(z.int()).default([]),
  })
  .optional()
  .catch(undefined);

/**
 * Makes up for events that no queue has (`EventGaps`): publishes an event for each item of the CRM that has changed since.
 * Deleted items, and things that have no list by the time of their change, cannot be found so: a consumer that must know
 * them compares by itself, as the mirror does.
 */
@Injectable()
export class CatchUp {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(PortalClients) private readonly clients: Pick<PortalClients, 'for'>,
    private readonly gaps: EventGaps,
    private readonly subscriptions: Subscriptions,
    @Inject(EVENT_PUBLISHER) private readonly publisher: EventPublisher,
    @Inject(CONSUMER_LOG) private readonly log: Log,
    @Optional() private readonly limits = LIMITS,
  ) {}

  /** Portals with a gap that is over, and that was not requested yet, or whose job has failed a while ago. */
  async due(): Promise<Map<string, string>> {
    const ended = await this.gaps.lastEnded();
    const rows = await this.dataSource.query<{ memberId: string; requestedGap: string }[]>(
      `SELECT member_id AS "memberId", (CASE WHEN last.state = 'failed' AND last.ended_at < clock_timestamp() - ${AGAIN_AFTER}
           THEN done_gap ELSE requested_gap END)::text AS "requestedGap"
       FROM offline.catch_ups LEFT JOIN LATERAL (
         SELECT state, ended_at FROM portals.tasks task
         WHERE task.member_id = catch_ups.member_id AND consumer = $2 AND kind = $3
         ORDER BY requested_at DESC LIMIT 1) last ON done_gap < requested_gap
         AND EXISTS (SELECT FROM portals.portals p WHERE p.member_id = catch_ups.member_id AND p.state = 'installed')
         AND EXISTS (SELECT FROM portals.event_gaps g WHERE g.id = requested_gap AND g.ended_at > clock_timestamp() - ${AGAIN_FOR})
       WHERE member_id = ANY ($1)`,
      [[...ended.keys()], OFFLINE_PULLER, CATCH_UP_JOB],
    );
    const requested = new Map(rows.map((row) => [row.memberId, row.requestedGap]));
    return new Map([...ended].filter(([member, id]) => BigInt(id) > BigInt(requested.get(member) ?? '0')));
  }

  /** Jobs for these gaps exist. */
  async saveRequested(gaps: ReadonlyMap<string, string>): Promise<void> {
    await this.dataSource.query(
      `INSERT INTO offline.catch_ups (member_id, requested_gap) SELECT * FROM unnest($1::text[], $2::bigint[])
       ON CONFLICT (member_id) DO UPDATE SET requested_gap = excluded.requested_gap`,
      [[...gaps.keys()], [...gaps.values()]],
    );
  }

  /**
   * @returns the number of events
   * @throws JobYieldedError after a turn; Bitrix24Error, BusUnavailableError, the signal's reason
   */
  async run({ job: { memberId, progress, attempts }, signal, report }: JobRun): Promise<JobProgress> {
    const [known] = await this.dataSource.query<{ doneGap: string }[]>(
      `SELECT done_gap::text AS "doneGap" FROM offline.catch_ups WHERE member_id = $1`,
      [memberId],
    );
    const turnEndsAt = performance.now() + this.limits.turnMs;
    const done = known?.doneGap ?? '0';
    const reported = progressShape.parse(progress);
    // One that was begun is ended first: of gaps that follow each other, none would ever be.
    const begun = reported && (await this.gaps.after(memberId, done, reported.gap));
    const earlier = begun?.id === reported?.gap ? reported : undefined;
    const gap = earlier ? begun : await this.gaps.after(memberId, done);
    if (!gap) return { events: 0 };
    const fromMs = gap.beganAt.getTime() - CLOCK_SLACK_MS;
    const client = this.clients.for(memberId, { priority: 'background' });
    let requests = earlier?.requests ?? 0;
    let events = earlier?.events ?? 0;
    const run: Run = { count: () => void (requests += 1), isPatient: attempts < PATIENCE, signal };
    const cursors = await this.cursors(client, earlier?.after ?? {}, run);
    const ended = new Set(earlier?.ended);
    let open = cursors.filter(({ entityTypeId }) => !ended.has(entityTypeId));
    for (let isFirst = true; open.length > 0; isFirst = false) {
      if (requests >= this.limits.requests) {
        this.log.warn(
          { event: 'offline.catch_up.cut', memberId, events },
          'the portal lists more changed items than are read: the rest is left out',
        );
        break;
      }
      signal.throwIfAborted();
      const read = await this.readChanged(client, open, fromMs, { ...run, pages: isFirst ? 1 : undefined });
      await publishAll(this.publisher, read.events, signal);
      published.inc(read.events.length);
      events += read.events.length;
      open = read.open;
      for (const { entityTypeId } of read.ended) ended.add(entityTypeId);
      // A report ends the count of failures in succession.
      if (read.failure === undefined || read.hasAdvanced) {
        await report({
          gap: gap.id,
          events,
          requests,
          after: Object.fromEntries(cursors.map((c) => [c.entityTypeId, c.after])),
          ended: [...ended],
        });
      }
      if (read.failure !== undefined) throw read.failure;
      if (open.length > 0 && performance.now() >= turnEndsAt) throw new JobYieldedError();
    }
    await this.dataSource.query(
      `INSERT INTO offline.catch_ups (member_id, requested_gap, done_gap) VALUES ($1, $2, $2)
       ON CONFLICT (member_id) DO UPDATE SET done_gap = excluded.done_gap,
         requested_gap = greatest(catch_ups.requested_gap, excluded.done_gap)`,
      [memberId, gap.id],
    );
    // Requested while this job waited, it is no job of its own.
    if (await this.gaps.after(memberId, gap.id)) throw new JobYieldedError();
    return { events };
  }

  /** The types whose changes are wanted at the portal. */
  private async cursors(
    client: PortalClient,
    after: Readonly<Record<string, string>>,
    run: Run,
  ): Promise<Cursor[]> {
    const verbs = new Map<number, { family: string; verbs: Set<string> }>();
    const want = (entityTypeId: number, family: string, verb: string): void => {
      const known = verbs.get(entityTypeId) ?? { family, verbs: new Set() };
      verbs.set(entityTypeId, known);
      known.verbs.add(verb);
    };
    let dynamic: number[] | undefined;
    for (const wanted of await this.subscriptions.wantedAt(client.memberId)) {
      const { name, entityTypeId } = parseEventName(wanted);
      const [, family = '', verb = ''] = CHANGE.exec(name) ?? [];
      const typeId = TYPE_IDS.get(family) ?? entityTypeId;
      if (typeId > 0 && (TYPE_IDS.has(family) || family === DYNAMIC_ITEM)) want(typeId, family, verb);
      if (family !== DYNAMIC_ITEM || entityTypeId > 0) continue;
      dynamic ??= await this.dynamicTypes(client, run);
      for (const id of dynamic) want(id, family, verb);
    }
    return [...verbs].map(([entityTypeId, one]) => ({
      entityTypeId,
      ...one,
      after: after[entityTypeId] ?? '0',
    }));
  }

  /** Smart processes (`api-reference/crm/universal/user-defined-object-types/crm-type-list.md`), and invoices, which no list has. */
  private async dynamicTypes(client: PortalClient, run: Run): Promise<number[]> {
    const ids = new Set<number>([ENTITY_TYPE_IDS.invoice]);
    for (let first = 0; first < MAX_TYPE_PAGES; first += first === 0 ? 1 : TYPE_PAGES_AT_ONCE) {
      run.count();
      const numbers = Array.from({ length: first === 0 ? 1 : TYPE_PAGES_AT_ONCE }, (_, at) => first + at);
      const outcomes = await client.batch(
        Object.fromEntries(
          numbers.map((number) => [
            `p${number}`,
            { method: LIST_TYPES, params: { order: { id: 'ASC' }, start: number * PAGE_SIZE } },
          ]),
        ),
        { signal: run.signal },
      );
      for (const number of numbers) {
        const outcome = outcomes[`p${number}`];
        if (!outcome?.ok) {
          this.skip(client.memberId, undefined, outcome?.error ?? badAnswer(client, LIST_TYPES), run);
          return [...ids];
        }
        const read = typesPage.safeParse(outcome.result);
        if (!read.success) throw badAnswer(client, LIST_TYPES);
        for (const { entityTypeId } of read.data.types.slice(0, PAGE_SIZE)) ids.add(entityTypeId);
        if (read.data.types.length < PAGE_SIZE) return [...ids];
      }
    }
    return [...ids];
  }

  /**
   * One request. `pages` of each type; by default as many as fit.
   * @returns the types that go on, and those that do not; `failure` of one of them keeps back nothing of the others
   */
  private async readChanged(
    client: PortalClient,
    open: readonly Cursor[],
    fromMs: number,
    { pages, ...run }: Run & { pages: number | undefined },
  ): Promise<{
    events: PortalEvent[];
    open: Cursor[];
    ended: Cursor[];
    hasAdvanced: boolean;
    failure: unknown;
  }> {
    const now = open.slice(0, MAX_BATCH_COMMANDS);
    const pagesEach = pages ?? Math.floor(MAX_BATCH_COMMANDS / now.length);
    run.count();
    const outcomes = await client.batch(
      Object.assign({}, ...now.map((cursor) => commandsOf(cursor, pagesEach, fromMs))),
      { signal: run.signal },
    );
    const events: PortalEvent[] = [];
    const goOn: Cursor[] = [];
    const ended: Cursor[] = [];
    let hasAdvanced = false;
    let failure: unknown;
    for (const cursor of now) {
      const read = readPages(client, cursor, pagesEach, outcomes);
      for (const item of read.items) events.push(...eventsOf(client.memberId, cursor, item, fromMs));
      cursor.after = read.items.at(-1)?.id ?? cursor.after;
      hasAdvanced ||= read.items.length > 0;
      let isOver = read.isEnd;
      if (read.error !== undefined && read.items.length === 0) {
        try {
          this.skip(client.memberId, cursor.entityTypeId, read.error, run);
          isOver = true;
        } catch (error) {
          failure ??= error;
        }
      }
      (isOver ? ended : goOn).push(cursor);
    }
    hasAdvanced ||= ended.length > 0;
    return { events, open: [...open.slice(MAX_BATCH_COMMANDS), ...goOn], ended, hasAdvanced, failure };
  }

  /** A type that this user may not read, or that is gone, ends no other. @throws any other error */
  private skip(memberId: string, entityTypeId: number | undefined, error: unknown, { isPatient }: Run): void {
    const isOfType = error instanceof Bitrix24Error && error.errorClass !== 'plan';
    const isLasting = guidanceOf(error).recovery === 'never';
    if (!isOfType || !(isLasting || (!isPatient && error.errorClass === 'transient'))) throw error;
    this.log.warn(
      { event: 'offline.catch_up.skipped', memberId, entityTypeId, err: error },
      'items of a type cannot be listed: changes whose events were missed are not made up for',
    );
  }
}

function keyOf({ entityTypeId }: Cursor, number: number): string {
  return `t${entityTypeId}p${number}`;
}

/** Each page begins after the last id of the one before, which the portal inserts (`settings/performance/huge-data.md`). */
function commandsOf(cursor: Cursor, pages: number, fromMs: number): Record<string, Command> {
  const commands: Record<string, Command> = {};
  for (let number = 0; number < pages; number += 1) {
    const last = `$result[${keyOf(cursor, number - 1)}][items][${PAGE_SIZE - 1}][id]`;
    commands[keyOf(cursor, number)] = {
      method: LIST,
      params: {
        entityTypeId: cursor.entityTypeId,
        filter: {
          '>=updatedTime': new Date(fromMs).toISOString(),
          '>id': number === 0 ? cursor.after : last,
        },
        order: { id: 'ASC' },
        start: -1,
        select: ['id', 'createdTime', 'updatedTime'],
      },
    };
  }
  return commands;
}

function readPages(
  client: PortalClient,
  cursor: Cursor,
  pages: number,
  outcomes: Readonly<Record<string, CommandOutcome>>,
): { items: ListedItem[]; isEnd: boolean; error?: unknown } {
  const items: ListedItem[] = [];
  let last = BigInt(cursor.after);
  for (let number = 0; number < pages; number += 1) {
    const outcome = outcomes[keyOf(cursor, number)];
    if (!outcome?.ok) return { items, isEnd: false, error: outcome?.error ?? badAnswer(client, LIST) };
    const read = page.safeParse(outcome.result);
    if (!read.success) return { items, isEnd: false, error: badAnswer(client, LIST) };
    for (const item of read.data.items) {
      // A list that does not continue after the last id has ignored the filter, and would never end.
      if (BigInt(item.id) <= last) return { items, isEnd: false, error: badAnswer(client, LIST) };
      last = BigInt(item.id);
      items.push(item);
    }
    if (read.data.items.length < PAGE_SIZE) return { items, isEnd: true };
  }
  return { items, isEnd: false };
}

/** What Bitrix24 would have sent, as far as the item shows it; nothing for one that has not changed since. */
function eventsOf(
  memberId: string,
  { entityTypeId, family, verbs }: Cursor,
  { id, createdTime = '', updatedTime = '' }: ListedItem,
  fromMs: number,
): PortalEvent[] {
  // Its list has ignored the filter.
  if (Date.parse(updatedTime) < fromMs) return [];
  const isNew = Date.parse(createdTime) >= fromMs;
  const names = isNew && verbs.has('ADD') ? ['ADD'] : [];
  if (verbs.has('UPDATE') && (names.length === 0 || createdTime !== updatedTime)) names.push('UPDATE');
  const fields = family === DYNAMIC_ITEM ? { ID: id, ENTITY_TYPE_ID: entityTypeId } : { ID: id };
  const timestampMs = Date.parse(updatedTime);
  return names.map((verb) =>
    openOfflineEvent(
      memberId,
      { name: `${family}${verb}`, data: { FIELDS: fields }, timestampMs },
      Date.now(),
      'reconcile',
    ),
  );
}

function badAnswer({ memberId }: PortalClient, method: string): Bitrix24Error {
  return new Bitrix24Error('BAD_ANSWER', { memberId, method, detail: 'wrong-shape', delivered: 'yes' });
}
