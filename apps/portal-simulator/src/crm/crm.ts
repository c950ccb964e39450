import type { UserField } from '../fields/field.js';
import { DEAL_TYPE_ID } from '../fields/standard-sets.js';
import type { NewUserField, UserFieldChange } from '../fields/user-fields.js';
import type { ItemStore } from '../items/item-store.js';
import type { Item } from '../items/item.js';
import type { Value, Values } from '../protocol/php.js';
import { missingItem, RestError } from '../protocol/rest-error.js';
import { Activities } from './activities.js';
import { ObjectTypes, standardCodeOf, type ObjectsBackup } from './object-types.js';
import type { Pipelines } from './pipelines.js';
import { ProductRows } from './product-rows.js';
import type { SmartProcess, SmartProcesses } from './smart-processes.js';
import { OWNER_ID, Rights, userOf, type Actor } from './users.js';

export type ItemChange = 'ADD' | 'UPDATE' | 'DELETE';

/** Emits an event to every handler that is bound to its name. */
type Emit = (name: string, data: Values, actor: Actor) => void;

type FieldChange = 'ADD' | 'UPDATE' | 'DELETE' | 'SETENUMVALUES';

export interface FieldOfType {
  entityTypeId: number;
  field: UserField;
}

export interface ChangeOptions {
  /** Emits no event: for test data, or to simulate a lost event. */
  silent?: boolean;
  /** Stores the values without checking or converting them. */
  raw?: boolean;
}

/** The CRM of one portal: its data, and the events of its changes. */
export class Crm {
  readonly objects = new ObjectTypes();
  readonly productRows = new ProductRows();
  readonly activities = new Activities();
  readonly rights = new Rights();
  readonly lastChanges = new LastChanges();
  readonly userFields: UserFieldSettings;
  /** By the name that a test gave. */
  readonly backups = new Map<string, ObjectsBackup>();

  constructor(
    private readonly now: () => number,
    private readonly emit: Emit,
  ) {
    this.userFields = new UserFieldSettings(this.objects, emit);
  }

  get types(): SmartProcesses {
    return this.objects.smartProcesses;
  }

  get pipelines(): Pipelines {
    return this.objects.pipelines;
  }

  /** @throws RestError NOT_FOUND */
  items(entityTypeId: number): ItemStore {
    return this.objects.items(entityTypeId);
  }

  /** @throws RestError NOT_FOUND */
  item(entityTypeId: number, id: number): Item {
    const item = this.items(entityTypeId).get(id);
    if (!item) throw missingItem();
    return item;
  }

  /** @throws RestError */
  addItem(entityTypeId: number, fields: Values, actor: Actor, options: ChangeOptions = {}): Item {
    const context = { userId: userOf(actor), nowMs: this.now() };
    const item = this.items(entityTypeId).add(fields, context, options.raw);
    if (options.silent === true) return item;
    this.lastChanges.record(item, actor);
    this.emitItem('ADD', entityTypeId, item.id, actor);
    return item;
  }

  /**
   * Emits an event even if the update changes no value, as Bitrix24 does: an application that updates in its own
   * handler can loop. A deal that comes to another pipeline emits two. @throws RestError
   */
  updateItem(
    entityTypeId: number,
    id: number,
    fields: Values,
    actor: Actor,
    options: ChangeOptions = {},
  ): Item {
    const item = this.item(entityTypeId, id);
    const previous = { fields: item.fields, atMs: item.updatedAtMs };
    const context = { userId: userOf(actor), nowMs: this.now() };
    const store = this.items(entityTypeId);
    const categoryId = store.valueOf(item, 'categoryId');
    store.update(item, fields, context, options.raw);
    this.lastChanges.record(item, actor, previous);
    if (options.silent === true) return item;
    this.emitItem('UPDATE', entityTypeId, id, actor);
    if (entityTypeId === DEAL_TYPE_ID && store.valueOf(item, 'categoryId') !== categoryId) {
      this.emitMoveToCategory(store, item, actor);
    }
    return item;
  }

  /** The item with this id, added if there is none, with these values. Emits no event. @throws RestError */
  putItem(entityTypeId: number, id: number, fields: Values): Item {
    const store = this.items(entityTypeId);
    const context = { userId: OWNER_ID, nowMs: this.now() };
    const item = store.get(id);
    if (!item) return store.add(fields, { ...context, id });
    store.update(item, fields, context);
    return item;
  }

  /** @throws RestError NOT_FOUND */
  deleteItem(entityTypeId: number, id: number, actor: Actor, options: ChangeOptions = {}): void {
    if (!this.items(entityTypeId).delete(id)) throw missingItem();
    this.productRows.remove(entityTypeId, id);
    if (options.silent !== true) this.emitItem('DELETE', entityTypeId, id, actor);
  }

  /** Sets the amount of the item, too, unless it is kept by hand (product-rows/index.md). Emits no event. */
  setProductRows(entityTypeId: number, owner: { id: number; type: string }, rows: readonly Value[]): void {
    const store = this.items(entityTypeId);
    const item = this.item(entityTypeId, owner.id);
    const opportunity = this.productRows.set(entityTypeId, owner, rows);
    if (store.valueOf(item, 'isManualOpportunity') === 'Y') return;
    store.update(item, { opportunity }, { userId: item.updatedBy, nowMs: this.now() });
  }

  /** @returns its id */
  addActivity(fields: Values, userId: number, actor: Actor): number {
    const id = this.activities.add(fields, userId, this.now());
    this.emit('ONCRMACTIVITYADD', { FIELDS: { ID: id } }, actor);
    return id;
  }

  /** @throws RestError INVALID_ARG_VALUE */
  addType(entityTypeId: number | undefined, fields: Values, actor: Actor): SmartProcess {
    const type = this.types.add(entityTypeId, fields, userOf(actor), this.now());
    this.objects.addType(type.entityTypeId);
    this.emitType('ADD', type.id, actor);
    return type;
  }

  updateType(type: SmartProcess, fields: Values, actor: Actor): void {
    this.types.update(type, fields, userOf(actor), this.now());
    this.emitType('UPDATE', type.id, actor);
  }

  /** @throws RestError when it still has items */
  deleteType(type: SmartProcess, actor: Actor): void {
    if (this.items(type.entityTypeId).size > 0) {
      throw new RestError('BX_ERROR', 'You cannot delete an entity type that has elements');
    }
    this.deleteTypeWithItems(type, actor);
  }

  /** Deletes the items without events. */
  deleteTypeWithItems(type: SmartProcess, actor: Actor): void {
    this.types.delete(type.id);
    this.objects.removeType(type.entityTypeId);
    this.emitType('DELETE', type.id, actor);
  }

  /** Emits an ADD event for every item with a higher id than `after`. */
  emitAdded(entityTypeId: number, after: number): void {
    const store = this.items(entityTypeId);
    for (let id = after + 1; id <= store.lastId; id += 1) {
      if (store.get(id)) this.emitItem('ADD', entityTypeId, id, { userId: OWNER_ID });
    }
  }

  private emitItem(change: ItemChange, entityTypeId: number, id: number, actor: Actor): void {
    const code = standardCodeOf(entityTypeId);
    if (code !== undefined) {
      this.emit(`ONCRM${code}${change}`, { FIELDS: { ID: id } }, actor);
      return;
    }
    const data = { FIELDS: { ID: id, ENTITY_TYPE_ID: entityTypeId } };
    this.emit(`ONCRMDYNAMICITEM${change}`, data, actor);
    this.emit(`ONCRMDYNAMICITEM${change}_${entityTypeId}`, data, actor);
  }

  /** api-reference/crm/deals/events/on-crm-deal-move-to-category.md */
  private emitMoveToCategory(store: ItemStore, item: Item, actor: Actor): void {
    const [CATEGORY_ID, STAGE_ID] = [store.valueOf(item, 'categoryId'), store.valueOf(item, 'stageId')];
    this.emit('ONCRMDEALMOVETOCATEGORY', { FIELDS: { ID: item.id, CATEGORY_ID, STAGE_ID } }, actor);
  }

  private emitType(change: ItemChange, id: number, actor: Actor): void {
    this.emit(`ONCRMTYPE${change}`, { FIELDS: { ID: id } }, actor);
  }
}

/**
 * Adds, changes and deletes user fields, and emits the events of
 * api-reference/crm/universal/userfieldconfig/events/index.md, of deals and the like those of their own
 * (api-reference/crm/deals/user-defined-fields/events/).
 */
class UserFieldSettings {
  constructor(
    private readonly objects: ObjectTypes,
    private readonly emit: Emit,
  ) {}

  /** By the id of its settings. */
  findById(id: number): FieldOfType | undefined {
    for (const { entityTypeId, userFields } of this.objects.everyUserFields()) {
      const field = userFields.findById(id);
      if (field) return { entityTypeId, field };
    }
    return undefined;
  }

  /** Undefined if no object type has this `entityId`, such as `CRM_5`. */
  entityTypeOf(entityId: string): number | undefined {
    return this.objects.everyUserFields().find(({ userFields }) => userFields.entityId === entityId)
      ?.entityTypeId;
  }

  /** Undefined if the name is taken. @throws RestError NOT_FOUND */
  add(entityTypeId: number, given: NewUserField, actor: Actor): UserField | undefined {
    const field = this.objects.userFields(entityTypeId).add(given);
    if (!field) return undefined;
    this.emitChange('ADD', entityTypeId, field, actor);
    if (field.items.length > 0) this.emitChange('SETENUMVALUES', entityTypeId, field, actor);
    return field;
  }

  update({ entityTypeId, field }: FieldOfType, change: UserFieldChange, actor: Actor): UserField {
    const changed = this.objects.userFields(entityTypeId).update(field, change);
    const { items, ...others } = change;
    const isListOnly = items !== undefined && Object.values(others).every((value) => value === undefined);
    if (!isListOnly) this.emitChange('UPDATE', entityTypeId, changed, actor);
    if (items !== undefined && changed.type === 'enumeration')
      this.emitChange('SETENUMVALUES', entityTypeId, changed, actor);
    return changed;
  }

  /** Deletes the values of the field, too. */
  delete({ entityTypeId, field }: FieldOfType, actor: Actor): void {
    this.objects.userFields(entityTypeId).delete(field);
    this.objects.items(entityTypeId).removeField(field.name);
    this.emitChange('DELETE', entityTypeId, field, actor);
  }

  private emitChange(change: FieldChange, entityTypeId: number, field: UserField, actor: Actor): void {
    const { id, entityId, fieldName } = field;
    const data = { FIELDS: { ID: id, ENTITY_ID: entityId, FIELD_NAME: fieldName } };
    this.emit(`ONCRM${standardCodeOf(entityTypeId) ?? 'TYPE'}USERFIELD${change}`, data, actor);
  }
}

export type Author = 'user' | 'application' | 'webhook' | 'robot';

interface LastChange {
  author: Author;
  /** The item before the change; absent for a new item. */
  previous?: { fields: Readonly<Values>; atMs: number } | undefined;
}

/**
 * Who changed each item last, and its fields before. Bitrix24 shows only the user's id, which is the same for a change
 * by the user and by an application for that user; the page shows the difference.
 */
class LastChanges {
  private readonly byItem = new WeakMap<Item, LastChange>();

  record(item: Item, actor: Actor, previous?: LastChange['previous']): void {
    const author = actor === 'robot' ? 'robot' : (actor.through ?? 'user');
    this.byItem.set(item, { author, previous });
  }

  /** Items that were added without an event have `user` as author. */
  of(item: Item): LastChange {
    return this.byItem.get(item) ?? { author: 'user' };
  }
}
