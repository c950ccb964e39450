import { Crm } from '../crm/crm.js';
import type { Actor } from '../crm/users.js';
import { EventQueue, type FormSender, type PostResult } from '../events/event-delivery.js';
import { eventForm, type PortalEvent } from '../events/event-form.js';
import { COMMON_SCOPE, EVENT_SCOPES, eventsOf, OFFLINE_SIGNAL } from '../events/event-names.js';
import { Handlers, type Handler } from '../events/handlers.js';
import { OfflineQueue } from '../events/offline-queue.js';
import { Faults } from '../faults/faults.js';
import type { SuspensionReason } from '../faults/suspension.js';
import { Buckets } from '../limits/bucket.js';
import { Latency } from '../limits/latency.js';
import { OperatingMeter } from '../limits/operating.js';
import { Stats } from '../limits/stats.js';
import type { Installation } from '../oauth/installation.js';
import type { Tokens } from '../oauth/tokens.js';
import { encodeForm, type Values } from '../protocol/php.js';

/**
 * The value of a batch reference whose path does not exist. `stop`: the deepest value that exists, as in the published
 * `rest` module (CRestUtil::processBatchElement); a keyset chain after a short page then filters by that page, which is
 * an invalid value. `empty`: an empty text, with which `>id` starts again from the first page, and the response looks
 * like any other. The documentation does not specify it, so a client must not rely on either.
 */
export const MISSING_REFERENCES = ['stop', 'empty'] as const;
export type MissingReference = (typeof MISSING_REFERENCES)[number];

export interface PortalSettings {
  /** Y of the bucket: how much it leaks a second. */
  rate: number;
  /** X of the bucket: its size. */
  burst: number;
  /** LANGUAGE_ID: `en`, `tr`, … */
  language: string;
  /** Scopes of the application. */
  scope: string[];
  /** Results of `feature.get` by code; `N` for all others. */
  features: Record<string, string>;
  /** Whether the portal offers suffixed events such as ONCRMDYNAMICITEMADD_147. */
  suffixedEvents: boolean;
  /** Delay of every REST response; a change applies to those that are delayed already. */
  latencyMs: number;
  /** Milliseconds that a call takes beside it, by method in lower case, also in a batch. */
  methodMs: Record<string, number>;
  accessTokenSeconds: number;
  eventConcurrency: number;
  eventTimeoutMs: number;
  /** The limit of a method's operating time in ten minutes; null if none is counted, as on premise. */
  operatingLimitSeconds: number | null;
  /** Operating time of a call by method in lower case; the measured time and `methodMs` if absent. */
  operatingCosts: Record<string, number>;
  /** The limit of characters in all commands of a batch; null for no limit. */
  batchLength: number | null;
  /** The value of a batch reference whose path does not exist. */
  missingReference: MissingReference;
  /**
   * Whether the application's own changes are recorded for its offline handlers of the same `auth_connector`. The `rest`
   * module skips them; the page on cycles says that they come back.
   */
  offlineOwnWrites: boolean;
}

interface PortalIdentity {
  name: string;
  memberId: string;
  domain: string;
}

/** Shared by all portals. */
export interface PortalDependencies {
  now: () => number;
  tokens: Tokens;
  sender: FormSender;
}

/** One Bitrix24 portal: its data, application, event handlers and limits. */
export class Portal {
  readonly crm: Crm;
  readonly handlers = new Handlers();
  readonly stats = new Stats();
  readonly recorder = new Recorder();
  readonly faults = new Faults();
  readonly buckets: Buckets;
  readonly latency: Latency;
  readonly events: EventQueue<PortalEvent>;
  readonly offline: OfflineQueue;
  /** Users by the secrets of their incoming webhooks. */
  readonly webhooks = new Map<string, number>();
  installation: Installation | undefined;
  suspension: SuspensionReason | null = null;
  private offlineSignal: NodeJS.Immediate | undefined;
  private readonly meters = new Map<object | string, OperatingMeter>();

  constructor(
    readonly identity: PortalIdentity,
    readonly settings: PortalSettings,
    private readonly dependencies: PortalDependencies,
  ) {
    this.buckets = new Buckets(settings);
    this.latency = new Latency(settings);
    this.offline = new OfflineQueue(dependencies.now);
    this.events = new EventQueue({
      concurrency: () => settings.eventConcurrency,
      send: async (event) => {
        if (!this.shouldSend(event.handler)) return;
        const form = eventForm(this, event, dependencies.tokens, dependencies.now());
        await this.post(event.name, event.handler.url, form);
      },
    });
    this.crm = new Crm(dependencies.now, (name, data, actor) => {
      this.emit(name, data, actor);
    });
  }

  changeSettings(changes: Partial<PortalSettings>): void {
    Object.assign(this.settings, changes);
    this.latency.apply();
  }

  /** The operating time of one application, by its installation, or of one webhook, by its secret. */
  meterOf(caller: object | string): OperatingMeter {
    let meter = this.meters.get(caller);
    if (!meter) this.meters.set(caller, (meter = new OperatingMeter()));
    return meter;
  }

  /** The events of one scope, those of the application's scopes, or all. */
  availableEvents(of: { scope: string } | 'application' | 'all'): string[] {
    const scopes =
      of === 'all'
        ? EVENT_SCOPES
        : of === 'application'
          ? [COMMON_SCOPE, ...this.settings.scope]
          : [of.scope];
    return eventsOf(scopes, this.crm.types.all(), this.settings.suffixedEvents);
  }

  /**
   * Queues the event for every handler that is bound to its name, and records it for the offline ones.
   * @returns the number of online handlers
   */
  emit(name: string, data: Values, actor: Actor): number {
    const handlers = this.handlers.of(name);
    for (const handler of handlers) this.events.push({ name, data, actor, handler });
    this.recordOffline(name, data, actor);
    return handlers.length;
  }

  /** Only for a finished installation whose payment has not expired. */
  private recordOffline(name: string, data: Values, actor: Actor): void {
    if (!this.installation?.isFinished || this.suspension === 'payment' || this.suspension === 'deleted')
      return;
    const own = actor !== 'robot' && actor.through === 'application' ? (actor.connector ?? '') : undefined;
    const skips = (connector: string) => connector === own && !this.settings.offlineOwnWrites;
    if (this.offline.record(name, data, actor, skips)) this.signalOffline(actor);
  }

  /** ONOFFLINEEVENT once for the records of one request; a signal within `minTimeout` is dropped. */
  private signalOffline(actor: Actor): void {
    this.offlineSignal ??= setImmediate(() => {
      this.offlineSignal = undefined;
      const nowMs = this.dependencies.now();
      for (const handler of this.handlers.of(OFFLINE_SIGNAL)) {
        if (nowMs - (handler.signalledAtMs ?? -Infinity) < (handler.minTimeoutSeconds ?? 1) * 1000) continue;
        handler.signalledAtMs = nowMs;
        this.events.push({ name: OFFLINE_SIGNAL, data: {}, actor, handler });
      }
    });
  }

  /** Posts a form at once and counts the result. */
  async post(event: string, url: string, form: Values): Promise<PostResult> {
    const result = await this.dependencies.sender.post(url, encodeForm(form), this.settings.eventTimeoutMs);
    this.stats.countEvent(event, result.outcome);
    return result;
  }

  /** False for a deleted portal, an unfinished installation and a handler that was unbound meanwhile. */
  private shouldSend(handler: Handler): boolean {
    const { owner } = handler;
    const isFinished = owner.kind !== 'application' || owner.installation.isFinished;
    return isFinished && this.suspension !== 'deleted' && this.handlers.has(handler);
  }
}

/** More than any test looks at; a flood of them stays bounded. */
const MAX_RECORDS = 10_000;

/** What callers did to a portal: `GET /_sim/portals/<name>/notifications`, `…/tasks` and `…/writes`. */
class Recorder {
  /** Calls of `crm.*` that changed something, also in a batch, in their order. */
  readonly writes = new Records();
  readonly notifications = new Records();
  readonly tasks = new Records();
}

/** The newest ones, numbered from 1. */
class Records {
  private lastId = 0;
  private records: (Values & { id: number })[] = [];

  add(values: Values): { id: number } {
    this.lastId += 1;
    const record = { ...values, id: this.lastId };
    if (this.records.length === MAX_RECORDS) this.records.shift();
    this.records.push(record);
    return record;
  }

  all(): readonly Values[] {
    return this.records;
  }
}
