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

/** Tells every handler of an event of this name. */
type Emit = (name: string, data: Values, cause: Actor) => void;

type FieldChange = 'ADD' | 'UPDATE' | 'DELETE' | 'SETENUMVALUES';

export interface FieldOfType {
  entityTypeId: number;
  field: UserField;
}

export interface ChangeOptions {
  /** Nobody hears of it: data for a test, or an event that got lost. */
  silent?: boolean;
  /** Values as they are, whether they fit their fields or not. */
  raw?: boolean;
}

/** The CRM of one portal: its data, and what it tells of its changes. */
export class Crm {
  readonly objects = new ObjectTypes();
  readonly rights = new Rights();
  readonly lastChanges = new LastChanges();
  readonly userFields: UserFieldSettings;
  /** By the names that a test gave them. */
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
  addItem(entityTypeId: number, fields: Values, cause: Actor, options: ChangeOptions = {}): Item {
    const deed = { userId: userOf(cause), nowMs: this.now() };
    const item = this.items(entityTypeId).add(fields, deed, options.raw);
    if (options.silent === true) return item;
    this.lastChanges.note(item, cause);
    this.emitItem('ADD', entityTypeId, item.id, cause);
    return item;
  }

  /**
   * An update tells of itself even when it changes nothing: that is how an application comes to chase its
   * own tail. @throws RestError
   */
  updateItem(
    entityTypeId: number,
    id: number,
    fields: Values,
    cause: Actor,
    options: ChangeOptions = {},
  ): Item {
    const item = this.item(entityTypeId, id);
    const previous = { fields: item.fields, atMs: item.updatedAtMs };
    const deed = { userId: userOf(cause), nowMs: this.now() };
    this.items(entityTypeId).update(item, fields, deed, options.raw);
    this.lastChanges.note(item, cause, previous);
    if (options.silent !== true) this.emitItem('UPDATE', entityTypeId, id, cause);
    return item;
  }

  /** @throws RestError NOT_FOUND */
  deleteItem(entityTypeId: number, id: number, cause: Actor, options: ChangeOptions = {}): void {
    if (!this.items(entityTypeId).delete(id)) throw missingItem();
    if (options.silent !== true) this.emitItem('DELETE', entityTypeId, id, cause);
  }

  /** @throws RestError INVALID_ARG_VALUE */
  addType(entityTypeId: number | undefined, fields: Values, cause: Actor): SmartProcess {
    const type = this.types.add(entityTypeId, fields, userOf(cause), this.now());
    this.objects.open(type.entityTypeId);
    this.emitType('ADD', type.id, cause);
    return type;
  }

  updateType(type: SmartProcess, fields: Values, cause: Actor): void {
    this.types.update(type, fields, userOf(cause), this.now());
    this.emitType('UPDATE', type.id, cause);
  }

  /** @throws RestError when it still has items */
  deleteType(type: SmartProcess, cause: Actor): void {
    if (this.items(type.entityTypeId).size > 0) {
      throw new RestError('BX_ERROR', 'You cannot delete an entity type that has elements');
    }
    this.dropType(type, cause);
  }

  /** With its items, of which nobody hears. */
  dropType(type: SmartProcess, cause: Actor): void {
    this.types.delete(type.id);
    this.objects.close(type.entityTypeId);
    this.emitType('DELETE', type.id, cause);
  }

  /** Of every item that was added after this id. */
  emitAdded(entityTypeId: number, after: number): void {
    const store = this.items(entityTypeId);
    for (let id = after + 1; id <= store.lastId; id += 1) {
      if (store.get(id)) this.emitItem('ADD', entityTypeId, id, { userId: OWNER_ID });
    }
  }

  private emitItem(change: ItemChange, entityTypeId: number, id: number, cause: Actor): void {
    if (entityTypeId === CONTACT_TYPE_ID) {
      this.emit(`ONCRMCONTACT${change}`, { FIELDS: { ID: id } }, cause);
      return;
    }
    const data = { FIELDS: { ID: id, ENTITY_TYPE_ID: entityTypeId } };
    this.emit(`ONCRMDYNAMICITEM${change}`, data, cause);
    this.emit(`ONCRMDYNAMICITEM${change}_${entityTypeId}`, data, cause);
  }

  private emitType(change: ItemChange, id: number, cause: Actor): void {
    this.emit(`ONCRMTYPE${change}`, { FIELDS: { ID: id } }, cause);
  }
}

/**
 * Adds, changes and deletes user fields, and tells of it as
 * api-reference/crm/universal/userfieldconfig/events/index.md says.
 */
class UserFieldSettings {
  constructor(
    private readonly objects: ObjectTypes,
    private readonly emit: Emit,
  ) {}

  /** By the number of its settings. */
  ofId(id: number): FieldOfType | undefined {
    for (const { entityTypeId, userFields } of this.objects.everyUserFields()) {
      const field = userFields.ofId(id);
      if (field) return { entityTypeId, field };
    }
    return undefined;
  }

  /** Undefined: there is no object type of this `entityId`, such as `CRM_5`. */
  entityTypeOf(entityId: string): number | undefined {
    return this.objects.everyUserFields().find(({ userFields }) => userFields.entityId === entityId)
      ?.entityTypeId;
  }

  /** Undefined: the name is taken. @throws RestError NOT_FOUND */
  add(entityTypeId: number, order: NewUserField, cause: Actor): UserField | undefined {
    const field = this.objects.userFields(entityTypeId).add(order);
    if (!field) return undefined;
    this.emitChange('ADD', field, cause);
    if (field.items.length > 0) this.emitChange('SETENUMVALUES', field, cause);
    return field;
  }

  update({ entityTypeId, field }: FieldOfType, change: UserFieldChange, cause: Actor): UserField {
    const changed = this.objects.userFields(entityTypeId).update(field, change);
    const { items, ...others } = change;
    const isListOnly = items !== undefined && Object.values(others).every((value) => value === undefined);
    if (!isListOnly) this.emitChange('UPDATE', changed, cause);
    if (items !== undefined && changed.type === 'enumeration')
      this.emitChange('SETENUMVALUES', changed, cause);
    return changed;
  }

  /** Its values are gone with it. */
  delete({ entityTypeId, field }: FieldOfType, cause: Actor): void {
    this.objects.userFields(entityTypeId).delete(field);
    this.objects.items(entityTypeId).forget(field.name);
    this.emitChange('DELETE', field, cause);
  }

  private emitChange(change: FieldChange, { id, entityId, fieldName }: UserField, cause: Actor): void {
    const data = { FIELDS: { ID: id, ENTITY_ID: entityId, FIELD_NAME: fieldName } };
    this.emit(`ONCRMTYPEUSERFIELD${change}`, data, cause);
  }
}

export type Author = 'user' | 'application' | 'webhook' | 'robot';

interface LastChange {
  author: Author;
  /** What the item was before; absent for one that was just made. */
  previous?: { fields: Readonly<Values>; atMs: number } | undefined;
}

/**
 * Who changed each item last, and what it was before. Bitrix24 shows the user's number only, which is the same
 * whether she changed it herself or an application did in her name; whoever watches wants to tell them apart.
 */
class LastChanges {
  private readonly byItem = new WeakMap<Item, LastChange>();

  note(item: Item, cause: Actor, previous?: LastChange['previous']): void {
    const author = cause === 'robot' ? 'robot' : (cause.through ?? 'user');
    this.byItem.set(item, { author, previous });
  }

  /** Items made in silence have a user for an author. */
  of(item: Item): LastChange {
    return this.byItem.get(item) ?? { author: 'user' };
  }
}
