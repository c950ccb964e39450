import type { UserField } from '../fields/field.js';
import type { NewUserField, UserFieldChange } from '../fields/user-fields.js';
import type { ItemStore } from '../items/item-store.js';
import type { Item } from '../items/item.js';
import type { Values } from '../protocol/php.js';
import { missingItem, RestError } from '../protocol/rest-error.js';
import { CONTACT_TYPE_ID, ObjectTypes, type ObjectsBackup } from './object-types.js';
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
   * handler can loop. @throws RestError
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
    this.items(entityTypeId).update(item, fields, context, options.raw);
    this.lastChanges.record(item, actor, previous);
    if (options.silent !== true) this.emitItem('UPDATE', entityTypeId, id, actor);
    return item;
  }

  /** @throws RestError NOT_FOUND */
  deleteItem(entityTypeId: number, id: number, actor: Actor, options: ChangeOptions = {}): void {
    if (!this.items(entityTypeId).delete(id)) throw missingItem();
    if (options.silent !== true) this.emitItem('DELETE', entityTypeId, id, actor);
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
    if (entityTypeId === CONTACT_TYPE_ID) {
      this.emit(`ONCRMCONTACT${change}`, { FIELDS: { ID: id } }, actor);
      return;
    }
    const data = { FIELDS: { ID: id, ENTITY_TYPE_ID: entityTypeId } };
    this.emit(`ONCRMDYNAMICITEM${change}`, data, actor);
    this.emit(`ONCRMDYNAMICITEM${change}_${entityTypeId}`, data, actor);
  }

  private emitType(change: ItemChange, id: number, actor: Actor): void {
    this.emit(`ONCRMTYPE${change}`, { FIELDS: { ID: id } }, actor);
  }
}

/**
 * Adds, changes and deletes user fields, and emits the events of
 * api-reference/crm/universal/userfieldconfig/events/index.md.
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
    this.emitChange('ADD', field, actor);
    if (field.items.length > 0) this.emitChange('SETENUMVALUES', field, actor);
    return field;
  }

  update({ entityTypeId, field }: FieldOfType, change: UserFieldChange, actor: Actor): UserField {
    const changed = this.objects.userFields(entityTypeId).update(field, change);
    const { items, ...others } = change;
    const isListOnly = items !== undefined && Object.values(others).every((value) => value === undefined);
    if (!isListOnly) this.emitChange('UPDATE', changed, actor);
    if (items !== undefined && changed.type === 'enumeration')
      this.emitChange('SETENUMVALUES', changed, actor);
    return changed;
  }

  /** Deletes the values of the field, too. */
  delete({ entityTypeId, field }: FieldOfType, actor: Actor): void {
    this.objects.userFields(entityTypeId).delete(field);
    this.objects.items(entityTypeId).removeField(field.name);
    this.emitChange('DELETE', field, actor);
  }

  private emitChange(change: FieldChange, { id, entityId, fieldName }: UserField, actor: Actor): void {
    const data = { FIELDS: { ID: id, ENTITY_ID: entityId, FIELD_NAME: fieldName } };
    this.emit(`ONCRMTYPEUSERFIELD${change}`, data, actor);
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
