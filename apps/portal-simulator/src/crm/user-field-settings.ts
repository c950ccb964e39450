import type { UserField } from '../fields/user-field.js';
import type { NewUserField, UserFieldChange } from '../fields/user-fields.js';
import type { Emit } from './emit.js';
import type { Actor } from './actor.js';
import type { ObjectTypes } from './object-types.js';

type FieldChange = 'ADD' | 'UPDATE' | 'DELETE' | 'SETENUMVALUES';

export interface FieldOfType {
  entityTypeId: number;
  field: UserField;
}

/**
 * Adds, changes and deletes user fields, and tells of it as
 * api-reference/crm/universal/userfieldconfig/events/index.md says.
 */
export class UserFieldSettings {
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
