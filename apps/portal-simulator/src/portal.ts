import { Buckets } from './bucket.js';
import { EventQueue } from './event-queue.js';
import { availableEvents, type ItemChange } from './event-names.js';
import { eventForm, type PortalEvent } from './event-form.js';
import { Faults } from './faults.js';
import { contactFields, smartProcessItemFields } from './fields.js';
import type { FormSender, Posted } from './form-sender.js';
import { Handlers, type Handler } from './handlers.js';
import type { Installation } from './installation.js';
import { ItemStore, type Item } from './item-store.js';
import { LastChanges } from './last-changes.js';
import { OperatingMeter } from './operating.js';
import { encodeForm, type Values } from './php.js';
import { missingItem, RestError, unknownSmartProcess } from './rest/rest-error.js';
import { SmartProcesses, type SmartProcess } from './smart-processes.js';
import { Stats } from './stats.js';
import type { SuspensionReason } from './suspension.js';
import type { Tokens } from './tokens.js';

export const contactTypeId = 3;
export const invoiceTypeId = 31;

export interface PortalSettings {
  /** Y of the bucket, a second. */
  rate: number;
  /** X of the bucket. */
  burst: number;
  /** LANGUAGE_ID: `en`, `tr`, … */
  language: string;
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
}

export interface PortalIdentity {
  name: string;
  memberId: string;
  domain: string;
}

/** What the simulator's parts share. */
export interface Surroundings {
  now: () => number;
  tokens: Tokens;
  sender: FormSender;
}

/**
 * Who did it: a user, herself or through a program that calls REST for her, or a robot, workflow or agent, whose
 * events carry no tokens.
 */
export type Cause = { userId: number; through?: 'application' | 'webhook' } | 'robot';

export const ownerId = 1;

/** One Bitrix24: its data, its application, its handlers, its limits. */
export class Portal {
  readonly types = new SmartProcesses();
  readonly handlers = new Handlers();
  readonly stats = new Stats();
  readonly faults = new Faults();
  readonly lastChanges = new LastChanges();
  readonly buckets: Buckets;
  readonly events: EventQueue<PortalEvent>;
  /** Secrets of incoming webhooks, and the users they act for. */
  readonly webhooks = new Map<string, number>();
  installation: Installation | undefined;
  suspension: SuspensionReason | null = null;
  private readonly meters = new Map<object | string, OperatingMeter>();
  private readonly stores = new Map<number, ItemStore>();

  constructor(
    readonly identity: PortalIdentity,
    readonly settings: PortalSettings,
    private readonly around: Surroundings,
  ) {
    this.buckets = new Buckets(settings);
    this.events = new EventQueue({
      concurrency: () => settings.eventConcurrency,
      send: async (event) => {
        if (!this.isHeard(event.handler)) return;
        const form = eventForm(this, event, around.tokens, around.now());
        await this.post(event.name, event.handler.url, form);
      },
    });
    this.stores.set(contactTypeId, new ItemStore(contactTypeId, contactFields));
    this.stores.set(invoiceTypeId, this.itemsOf(invoiceTypeId, 'Invoice'));
  }

  /** The operating time of one application (its installation) or one webhook (its secret). */
  meterOf(caller: object | string): OperatingMeter {
    let meter = this.meters.get(caller);
    if (!meter) this.meters.set(caller, (meter = new OperatingMeter()));
    return meter;
  }

  /** @throws RestError NOT_FOUND */
  items(entityTypeId: number): ItemStore {
    const store = this.stores.get(entityTypeId);
    if (!store) throw unknownSmartProcess();
    return store;
  }

  /** @throws RestError NOT_FOUND */
  item(entityTypeId: number, id: number): Item {
    const item = this.items(entityTypeId).get(id);
    if (!item) throw missingItem();
    return item;
  }

  /** `silent`: seeding data for a test, of which nobody hears. */
  addItem(entityTypeId: number, fields: Values, cause: Cause, silent = false): Item {
    const item = this.items(entityTypeId).add(fields, userOf(cause), this.around.now());
    if (silent) return item;
    this.lastChanges.note(item, cause);
    this.announceItem('ADD', entityTypeId, item.id, cause);
    return item;
  }

  /**
   * An update tells of itself even when it changes nothing: that is how an application comes to chase its
   * own tail.
   */
  updateItem(entityTypeId: number, id: number, fields: Values, cause: Cause, silent = false): Item {
    const item = this.item(entityTypeId, id);
    const previous = { fields: item.fields, atMs: item.updatedAtMs };
    this.items(entityTypeId).update(item, fields, userOf(cause), this.around.now());
    this.lastChanges.note(item, cause, previous);
    if (!silent) this.announceItem('UPDATE', entityTypeId, id, cause);
    return item;
  }

  deleteItem(entityTypeId: number, id: number, cause: Cause): void {
    if (!this.items(entityTypeId).delete(id)) throw missingItem();
    this.announceItem('DELETE', entityTypeId, id, cause);
  }

  addType(entityTypeId: number | undefined, fields: Values, cause: Cause): SmartProcess {
    const type = this.types.add(entityTypeId, fields, userOf(cause), this.around.now());
    this.stores.set(type.entityTypeId, this.itemsOf(type.entityTypeId, 'Item'));
    this.announceType('ADD', type.id, cause);
    return type;
  }

  updateType(type: SmartProcess, fields: Values, cause: Cause): void {
    this.types.update(type, fields, userOf(cause), this.around.now());
    this.announceType('UPDATE', type.id, cause);
  }

  /** @throws RestError when it still has items */
  deleteType(type: SmartProcess, cause: Cause): void {
    if (this.items(type.entityTypeId).size > 0) {
      throw new RestError('BX_ERROR', 'You cannot delete an entity type that has elements');
    }
    this.types.delete(type.id);
    this.stores.delete(type.entityTypeId);
    this.announceType('DELETE', type.id, cause);
  }

  availableEvents(scope?: string): string[] {
    return availableEvents(this.types.all(), this.settings.suffixedEvents, scope);
  }

  /** Queues the event for every handler bound to its name. */
  announce(name: string, data: Values, cause: Cause): void {
    for (const handler of this.handlers.of(name)) this.events.push({ name, data, cause, handler });
  }

  /** Posts a form now and notes how it was answered. */
  async post(event: string, url: string, form: Values): Promise<Posted> {
    const posted = await this.around.sender.post(url, encodeForm(form), this.settings.eventTimeoutMs);
    this.stats.answered(event, posted.answer);
    return posted;
  }

  /** Nobody is told by a portal that is gone, nor an application before its installation is finished. */
  private isHeard(handler: Handler): boolean {
    const { owner } = handler;
    const isFinished = owner.kind !== 'application' || owner.installation.isFinished;
    return isFinished && this.suspension !== 'deleted' && this.handlers.has(handler);
  }

  private announceItem(change: ItemChange, entityTypeId: number, id: number, cause: Cause): void {
    if (entityTypeId === contactTypeId) {
      this.announce(`ONCRMCONTACT${change}`, { FIELDS: { ID: id } }, cause);
      return;
    }
    const data = { FIELDS: { ID: id, ENTITY_TYPE_ID: entityTypeId } };
    this.announce(`ONCRMDYNAMICITEM${change}`, data, cause);
    this.announce(`ONCRMDYNAMICITEM${change}_${entityTypeId}`, data, cause);
  }

  private announceType(change: ItemChange, id: number, cause: Cause): void {
    this.announce(`ONCRMTYPE${change}`, { FIELDS: { ID: id } }, cause);
  }

  private itemsOf(entityTypeId: number, title: string): ItemStore {
    const categoryId = entityTypeId % 100;
    const stageId = `DT${entityTypeId}_${categoryId}:NEW`;
    return new ItemStore(entityTypeId, smartProcessItemFields, { title, categoryId, stageId });
  }
}

function userOf(cause: Cause): number {
  return cause === 'robot' ? 0 : cause.userId;
}
