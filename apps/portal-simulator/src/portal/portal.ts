import { Crm } from '../crm/crm.js';
import type { Actor } from '../crm/users.js';
import { EventQueue, type FormSender, type Posted } from '../events/event-delivery.js';
import { eventForm, type PortalEvent } from '../events/event-form.js';
import { COMMON_SCOPE, EVENT_SCOPES, eventsOf } from '../events/event-names.js';
import { Handlers, type Handler } from '../events/handlers.js';
import { Faults } from '../faults/faults.js';
import type { SuspensionReason } from '../faults/suspension.js';
import { Buckets } from '../limits/bucket.js';
import { OperatingMeter } from '../limits/operating.js';
import { Stats } from '../limits/stats.js';
import type { Installation } from '../oauth/installation.js';
import type { Tokens } from '../oauth/tokens.js';
import { encodeForm, type Values } from '../protocol/php.js';

/**
 * What a reference is worth whose path leads nowhere. `stop`: what the path got to, as in the published `rest` module
 * (CRestUtil::processBatchElement), so that a keyset chain whose page came out short filters by the whole page then, which is
 * no valid value. `empty`: an empty text, with which `>id` begins again with the first page: an answer that looks like
 * any other. The documentation does not say, so nobody may rely on either.
 */
export const MISSING_REFERENCES = ['stop', 'empty'] as const;
export type MissingReference = (typeof MISSING_REFERENCES)[number];

export interface PortalSettings {
  /** Y of the bucket, a second. */
  rate: number;
  /** X of the bucket. */
  burst: number;
  /** LANGUAGE_ID: `en`, `tr`, … */
  language: string;
  /** Permissions of the application. */
  scope: string[];
  /** What `feature.get` says of a feature by its code; of all others `N`. */
  features: Record<string, string>;
  /** Whether `events` lists ONCRMDYNAMICITEMADD_147 and the like. */
  suffixedEvents: boolean;
  /** How long every REST answer takes. */
  latencyMs: number;
  accessTokenSeconds: number;
  eventConcurrency: number;
  eventTimeoutMs: number;
  /** Operating time a method may use in ten minutes; null: none is counted, as on premise. */
  operatingLimitSeconds: number | null;
  /** What a call is billed at, by method in lower case; else what it took. */
  operatingCosts: Record<string, number>;
  /** Characters that all commands of a batch may have together; null: any. */
  batchLength: number | null;
  /** What becomes of a reference in a batch whose path leads nowhere. */
  missingReference: MissingReference;
}

export interface PortalIdentity {
  name: string;
  memberId: string;
  domain: string;
}

/** What the simulator's parts share. */
export interface PortalDependencies {
  now: () => number;
  tokens: Tokens;
  sender: FormSender;
}

/** One Bitrix24: its data, its application, its handlers, its limits. */
export class Portal {
  readonly crm: Crm;
  readonly handlers = new Handlers();
  readonly stats = new Stats();
  readonly faults = new Faults();
  readonly buckets: Buckets;
  readonly events: EventQueue<PortalEvent>;
  /** Secrets of incoming webhooks, and the users they act for. */
  readonly webhooks = new Map<string, number>();
  installation: Installation | undefined;
  suspension: SuspensionReason | null = null;
  private readonly meters = new Map<object | string, OperatingMeter>();

  constructor(
    readonly identity: PortalIdentity,
    readonly settings: PortalSettings,
    private readonly dependencies: PortalDependencies,
  ) {
    this.buckets = new Buckets(settings);
    this.events = new EventQueue({
      concurrency: () => settings.eventConcurrency,
      send: async (event) => {
        if (!this.isHeard(event.handler)) return;
        const form = eventForm(this, event, dependencies.tokens, dependencies.now());
        await this.post(event.name, event.handler.url, form);
      },
    });
    this.crm = new Crm(dependencies.now, (name, data, cause) => {
      this.emit(name, data, cause);
    });
  }

  /** The operating time of one application (its installation) or one webhook (its secret). */
  meterOf(caller: object | string): OperatingMeter {
    let meter = this.meters.get(caller);
    if (!meter) this.meters.set(caller, (meter = new OperatingMeter()));
    return meter;
  }

  /** The events of one permission; without it those of the application's own, or of all there are. */
  availableEvents(of: { scope: string } | 'application' | 'all'): string[] {
    const scopes =
      of === 'all'
        ? EVENT_SCOPES
        : of === 'application'
          ? [COMMON_SCOPE, ...this.settings.scope]
          : [of.scope];
    return eventsOf(scopes, this.crm.types.all(), this.settings.suffixedEvents);
  }

  /** Queues the event for every handler bound to its name. @returns how many they are */
  emit(name: string, data: Values, cause: Actor): number {
    const handlers = this.handlers.of(name);
    for (const handler of handlers) this.events.push({ name, data, actor: cause, handler });
    return handlers.length;
  }

  /** Posts a form now and notes how it was answered. */
  async post(event: string, url: string, form: Values): Promise<Posted> {
    const posted = await this.dependencies.sender.post(url, encodeForm(form), this.settings.eventTimeoutMs);
    this.stats.answered(event, posted.answer);
    return posted;
  }

  /** Nobody is told by a portal that is gone, nor an application before its installation is finished. */
  private isHeard(handler: Handler): boolean {
    const { owner } = handler;
    const isFinished = owner.kind !== 'application' || owner.installation.isFinished;
    return isFinished && this.suspension !== 'deleted' && this.handlers.has(handler);
  }
}
