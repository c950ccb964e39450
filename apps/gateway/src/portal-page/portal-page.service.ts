import { Inject, Injectable } from '@nestjs/common';
import type {
  NextAction,
  PageNameSettings,
  PageSettingsRequest,
  pagePreviewResponse,
  pageSettingsResponse,
  pageStatusResponse,
  Sent,
} from '@relay/admin-contract';
import { PAGE_SIZE } from '@relay/bitrix24';
import { EventBindingRequests } from '@relay/installs';
import { PortalJobs } from '@relay/jobs';
import { formatName, nameSettings } from '@relay/names';
import { LOG, type Log, printable } from '@relay/platform';
import {
  CorrectionCounts,
  EventBindings,
  type KnownPortal,
  OFFLINE_PULLER,
  OfflineBindings,
  PortalCache,
  PortalClients,
  PortalError,
  type PortalOverview,
  PortalQuery,
  PortalSettings,
  type SettingsChange,
  Subscriptions,
} from '@relay/portals';
import { LRUCache } from 'lru-cache';
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { RequestRejectedError } from '../http/request-rejected.filter.js';
import type { FrameUser } from './frame-authenticator.js';

/** Names of consumers, as their settings, jobs and counts have them. */
const NAMES = 'name-formatter';
const MIRROR = 'smart-process-sync';

const COUNTED_DAYS = 7;
/** For the names of smart processes alone: without them the page shows numbers. */
const TYPES_TIMEOUT_MS = 5_000;
/** A thousand types; a larger answer would keep events waiting while it is parsed. */
const MAX_TYPES_BYTES = 512 * 1024;
/** Each opening of the page asks for them; the calls of the portal are for its events. */
const TYPES_REMEMBERED_MS = 15_000;
const MAX_REMEMBERED = 1_000;
const MAX_TYPES = 500;
const MAX_TITLE_LENGTH = 120;

const typeList = z.object({
  types: z.array(z.object({ entityTypeId: z.coerce.number().int().positive(), title: z.string() })),
});
/** What the page shows of a job of the mirror; older versions may have written another shape. */
const jobProgress = z.object({ items: z.int().catch(0), part: z.number().min(0).max(1).catch(0) });
const storedNames = z.object({
  firstWord: z.enum(['asWritten', 'capital']).nullable().catch(null),
  particles: z.enum(['lower', 'capital']).nullable().catch(null),
  language: z.string().nullable().catch(null),
});
const storedTypes = z.object({
  types: z
    .object({
      include: z.array(z.int()).nullable().catch(null),
      exclude: z.array(z.int()).catch([]),
    })
    .catch({ include: null, exclude: [] }),
});

type OfferedTypes = { entityTypeId: number; title: string }[] | null;

/** What the page reads of one portal. */
@Injectable()
export class PortalReads {
  private readonly types = new LRUCache<string, Promise<OfferedTypes>>({
    max: MAX_REMEMBERED,
    ttl: TYPES_REMEMBERED_MS,
  });

  constructor(
    readonly query: PortalQuery,
    readonly offline: OfflineBindings,
    private readonly bindings: EventBindings,
    private readonly subscriptions: Subscriptions,
    private readonly jobs: PortalJobs,
    private readonly counts: CorrectionCounts,
    private readonly clients: PortalClients,
  ) {}

  /** `known`: wanted events whose binding was tried, and has an outcome. */
  async events(memberId: string): Promise<{ wanted: number; known: number; lacksPermission: boolean }> {
    const names = await this.subscriptions.wanted();
    const [online, offline, recorded, recordedOffline] = await Promise.all([
      this.bindings.wanted(names, memberId),
      this.offline.wanted(names, memberId),
      this.bindings.of(memberId),
      this.offline.of(memberId),
    ]);
    const known = [
      ...online.filter((name) => recorded.has(name)),
      ...offline.filter((name) => recordedOffline.has(name)),
    ];
    return {
      wanted: online.length + offline.length,
      known: known.length,
      lacksPermission: online.some((name) => recorded.get(name)?.state === 'out-of-scope'),
    };
  }

  async mirror(memberId: string): Promise<Sent<typeof pageStatusResponse>['mirror']> {
    const jobs = await this.jobs.latest(MIRROR, memberId);
    const job = jobs.find(({ kind }) => kind === 'backfill') ?? jobs.find(({ kind }) => kind === 'complete');
    if (job === undefined) return null;
    const { items, part } = jobProgress.parse(job.progress);
    return { state: job.state, items, part: job.state === 'done' ? 1 : part, endedAt: job.endedAt };
  }

  corrections(memberId: string): Promise<number> {
    return this.counts.total(memberId, NAMES, COUNTED_DAYS);
  }

  async isQueueRead(): Promise<boolean> {
    return (await this.subscriptions.active()).some(({ consumer }) => consumer === OFFLINE_PULLER);
  }

  /** The smart processes of the portal; null if it does not tell them now (`api-reference/crm/universal/user-defined-object-types/`). */
  offeredTypes(memberId: string): Promise<OfferedTypes> {
    const known = this.types.get(memberId);
    if (known) return known;
    const asked = this.askForTypes(memberId);
    this.types.set(memberId, asked);
    return asked;
  }

  private async askForTypes(memberId: string): Promise<OfferedTypes> {
    const signal = AbortSignal.timeout(TYPES_TIMEOUT_MS);
    const options = { signal, maxResponseBytes: MAX_TYPES_BYTES };
    const client = this.clients.for(memberId);
    const titles = new Map<number, string>();
    try {
      for (let start = 0; start < MAX_TYPES; start += PAGE_SIZE) {
        const { result } = await client.call('crm.type.list', { order: { id: 'ASC' }, start }, options);
        const { types } = typeList.parse(result);
        for (const { entityTypeId, title } of types.slice(0, MAX_TYPES - titles.size)) {
          titles.set(entityTypeId, printable(title.slice(0, MAX_TITLE_LENGTH)));
        }
        if (types.length < PAGE_SIZE) break;
      }
      return [...titles].map(([entityTypeId, title]) => ({ entityTypeId, title }));
    } catch {
      return null;
    }
  }
}

/** What the page inside the portal shows and changes. */
@Injectable()
export class PortalPageService {
  constructor(
    private readonly reads: PortalReads,
    private readonly settings: PortalSettings,
    private readonly portalCache: PortalCache,
    private readonly bindingRequests: EventBindingRequests,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /** @throws RequestRejectedError 401 for a portal that was removed meanwhile */
  async status({ portal, isAdministrator }: FrameUser): Promise<Sent<typeof pageStatusResponse>> {
    const { memberId } = portal;
    const [overview, events, mirror, count] = await Promise.all([
      this.overviewOf(memberId),
      this.reads.events(memberId),
      this.reads.mirror(memberId),
      this.reads.corrections(memberId),
    ]);
    const isConfirmed = portal.appTokenHashes.length > 0;
    const { state, mode, installedAt, lastEventAt } = overview;
    return {
      state,
      mode,
      installedAt,
      lastEventAt,
      steps: [
        { step: 'connected', state: 'done' },
        { step: 'confirmed', state: isConfirmed ? 'done' : 'waiting' },
        {
          step: 'events',
          state: events.known < events.wanted ? 'running' : 'done',
          done: events.known,
          of: events.wanted,
        },
        ...(mirror === null
          ? []
          : [{ step: 'mirror' as const, state: mirror.state, done: Math.round(mirror.part * 100), of: 100 }]),
      ],
      next: actionsFor(overview, { isConfirmed, ...events, isQueueRead: await this.reads.isQueueRead() }),
      corrections: { count, days: COUNTED_DAYS },
      mirror,
      user: { isAdministrator },
    };
  }

  async settingsOf({
    portal: { memberId },
    isAdministrator,
  }: FrameUser): Promise<Sent<typeof pageSettingsResponse>> {
    const [portal, { mode }, schemas, isQueueRead, offeredTypes] = await Promise.all([
      this.freshPortal(memberId),
      this.overviewOf(memberId),
      this.settings.schemas(),
      this.reads.isQueueRead(),
      isAdministrator ? this.reads.offeredTypes(memberId) : null,
    ]);
    const isDeclared = (name: string): boolean => schemas.some(({ consumer }) => consumer === name);
    return {
      version: versionOf(portal, mode),
      canChange: isAdministrator,
      mode,
      isQueueRead,
      portalLanguage: portal.language,
      names: isDeclared(NAMES) ? storedNames.parse(withNulls(portal.settings[NAMES])) : null,
      types: isDeclared(MIRROR) ? storedTypes.parse(portal.settings[MIRROR] ?? {}).types : null,
      offeredTypes,
    };
  }

  /**
   * @throws RequestRejectedError 400 for settings that the consumer does not take, 403 for a user who is no administrator, 409 if
   *   they were changed since the user read them, or the mode would bring no events
   */
  async change(user: FrameUser, { version, mode, names, types }: PageSettingsRequest): Promise<void> {
    if (!user.isAdministrator) throw new RequestRejectedError(403, 'not-an-administrator');
    const { memberId } = user.portal;
    const [portal, before] = await Promise.all([this.freshPortal(memberId), this.overviewOf(memberId)]);
    if (versionOf(portal, before.mode) !== version) throw new RequestRejectedError(409, 'changed-meanwhile');
    const isOtherMode = mode !== undefined && mode !== before.mode;
    if (isOtherMode && mode === 'offline' && !(await this.reads.isQueueRead())) {
      throw new RequestRejectedError(409, 'queue-not-read');
    }
    // Within the transaction: of two requests that name one version, the first is stored.
    const unchanged = <T>(stored: T, consumer: string): T => {
      if (isDeepStrictEqual(stored, portal.settings[consumer] ?? {})) return stored;
      throw new RequestRejectedError(409, 'changed-meanwhile');
    };
    const changes = new Map<string, SettingsChange>();
    if (names) changes.set(NAMES, (stored) => withoutNulls({ ...unchanged(stored, NAMES), ...names }));
    if (types) {
      changes.set(MIRROR, (stored) => ({ ...unchanged(stored, MIRROR), types: withoutNulls(types) }));
    }
    try {
      await this.settings.change(memberId, changes, async (manager) => {
        if (isOtherMode) await this.reads.offline.setMode(memberId, mode, manager);
      });
    } catch (error) {
      if (!(error instanceof PortalError) || error.code !== 'BAD_SETTINGS') throw error;
      throw new RequestRejectedError(400, 'bad-settings', { cause: error });
    }
    // A sweep would request it, too, only later.
    if (isOtherMode) await this.bindingRequests.request(memberId);
    // The notification would arrive later, and the page reads what it has written.
    this.portalCache.expire(memberId);
    const changed = Object.entries({ names, types, mode: isOtherMode ? mode : undefined }).flatMap(
      ([key, value]) => (value === undefined ? [] : [key]),
    );
    this.log.info(
      { memberId, userId: user.userId, changed },
      'settings were changed on the page in the portal',
    );
  }

  /** What the name rules make of these texts with settings that are not stored. */
  preview(
    { portal }: FrameUser,
    names: readonly string[],
    settings: PageNameSettings,
  ): Sent<typeof pagePreviewResponse> {
    const options = nameSettings.parse(withoutNulls(settings));
    const language = options.language ?? portal.language ?? undefined;
    return { names: names.map((name) => formatName(name, { ...options, language })) };
  }

  private async overviewOf(memberId: string): Promise<PortalOverview> {
    const overview = await this.reads.query.overview(memberId);
    if (overview === undefined) throw new RequestRejectedError(401, 'not-confirmed');
    return overview;
  }

  private async freshPortal(memberId: string): Promise<KnownPortal> {
    const portal = await this.portalCache.find(memberId, { fresh: true });
    if (portal === undefined) throw new RequestRejectedError(401, 'not-confirmed');
    return portal;
  }
}

/** What somebody has to do, most urgent first. */
function actionsFor(
  { state, mode }: PortalOverview,
  {
    isConfirmed,
    lacksPermission,
    isQueueRead,
  }: { isConfirmed: boolean; lacksPermission: boolean; isQueueRead: boolean },
): NextAction[] {
  const actions: NextAction[] = [];
  if (state === 'needs-reauth') actions.push('open-again');
  if (state === 'needs-webhook') actions.push('renew-webhook');
  if (state === 'suspended' || state === 'resuming') actions.push('wait-for-portal');
  if (state === 'unreachable') actions.push('operator-checks-address');
  if (!isConfirmed) actions.push('let-confirm');
  if (lacksPermission) actions.push('grant-permissions');
  if (mode === 'offline' && !isQueueRead) actions.push('operator-starts-puller');
  return actions;
}

/** The settings that the page shows. */
function versionOf({ settings }: KnownPortal, mode: string): string {
  const shown = JSON.stringify([settings[NAMES] ?? {}, settings[MIRROR] ?? {}, mode]);
  return createHash('sha256').update(shown).digest('base64url').slice(0, 22);
}

function withNulls(stored: unknown): unknown {
  const given = typeof stored === 'object' && stored !== null ? stored : {};
  return { firstWord: null, particles: null, language: null, ...given };
}

function withoutNulls(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));
}
