import type { FieldSet, Parent } from '../fields/field-set.js';
import type { UserField } from '../fields/field.js';
import { CONTACT_FIELDS, smartProcessItemFields } from '../fields/standard-sets.js';
import { UserFields, type Sequences } from '../fields/user-fields.js';
import { ItemStore, type ItemsBackup } from '../items/item-store.js';
import { textOf } from '../protocol/php.js';
import { unknownSmartProcess } from '../protocol/rest-error.js';
import { SmartProcesses, smartProcessValue, type TypesBackup } from './smart-processes.js';

export const CONTACT_TYPE_ID = 3;
const INVOICE_TYPE_ID = 31;

interface ObjectType {
  store: ItemStore;
  /** Undefined for contacts: their user fields are not described. */
  userFields?: UserFields;
}

export interface ObjectsBackup {
  sequences: Sequences;
  types: TypesBackup;
  objects: readonly { entityTypeId: number; items: ItemsBackup; userFields: readonly UserField[] }[];
}

/** The CRM object types of one portal: contacts, new invoices, smart processes; their items and their fields. */
export class ObjectTypes {
  readonly smartProcesses = new SmartProcesses();
  private readonly sequences: Sequences = { field: 0, option: 0, file: 0 };
  private readonly byId = new Map<number, ObjectType>();

  constructor() {
    this.byId.set(CONTACT_TYPE_ID, { store: new ItemStore(CONTACT_TYPE_ID, CONTACT_FIELDS) });
    this.addType(INVOICE_TYPE_ID);
  }

  /** @throws RestError NOT_FOUND */
  items(entityTypeId: number): ItemStore {
    return this.objectType(entityTypeId).store;
  }

  /** @throws RestError NOT_FOUND, also of contacts */
  userFields(entityTypeId: number): UserFields {
    const { userFields } = this.objectType(entityTypeId);
    if (!userFields) throw unknownSmartProcess();
    return userFields;
  }

  everyUserFields(): { entityTypeId: number; userFields: UserFields }[] {
    return [...this.byId].flatMap(([entityTypeId, { userFields }]) =>
      userFields ? [{ entityTypeId, userFields }] : [],
    );
  }

  /** Adds the items and fields of a new smart process, or of invoices. */
  addType(entityTypeId: number): void {
    const userFields = new UserFields(this.entityIdOf(entityTypeId), this.sequences);
    const categoryId = entityTypeId % 100;
    const stageId = `DT${entityTypeId}_${categoryId}:NEW`;
    const title = entityTypeId === INVOICE_TYPE_ID ? 'Invoice' : 'Item';
    const fields = this.fieldsOf(entityTypeId, userFields);
    this.byId.set(entityTypeId, {
      store: new ItemStore(entityTypeId, fields, { title, categoryId, stageId }),
      userFields,
    });
  }

  removeType(entityTypeId: number): void {
    this.byId.delete(entityTypeId);
  }

  backup(): ObjectsBackup {
    return {
      sequences: { ...this.sequences },
      types: this.smartProcesses.backup(),
      objects: [...this.byId].map(([entityTypeId, { store, userFields }]) => ({
        entityTypeId,
        items: store.backup(),
        userFields: userFields?.all() ?? [],
      })),
    };
  }

  /** Removes types that were added since, brings deleted ones back. Ids that were given since will be given again. */
  restore({ sequences, types, objects }: ObjectsBackup): void {
    Object.assign(this.sequences, sequences);
    this.smartProcesses.restore(types);
    const kept = new Set(objects.map(({ entityTypeId }) => entityTypeId));
    for (const entityTypeId of this.byId.keys()) if (!kept.has(entityTypeId)) this.removeType(entityTypeId);
    for (const { entityTypeId, items, userFields } of objects) {
      // Another type may have had this entityTypeId in the meantime.
      if (entityTypeId !== CONTACT_TYPE_ID) this.addType(entityTypeId);
      this.objectType(entityTypeId).userFields?.restore(userFields);
      this.items(entityTypeId).restore(items);
    }
  }

  private objectType(entityTypeId: number): ObjectType {
    const objectType = this.byId.get(entityTypeId);
    if (!objectType) throw unknownSmartProcess();
    return objectType;
  }

  private fieldsOf(entityTypeId: number, userFields: UserFields): FieldSet {
    return smartProcessItemFields({
      userFields,
      hasSetting: (setting) => {
        const type = this.smartProcesses.findByEntityType(entityTypeId);
        return !type || smartProcessValue(type, setting) === 'Y';
      },
      parents: () => this.parentsOf(entityTypeId),
      nextFile: () => (this.sequences.file += 1),
    });
  }

  private parentsOf(entityTypeId: number): Parent[] {
    return this.smartProcesses
      .all()
      .filter((type) => type.entityTypeId !== entityTypeId)
      .map((type) => ({
        entityTypeId: type.entityTypeId,
        title: textOf(smartProcessValue(type, 'title')) ?? '',
      }));
  }

  /** Built from the primary key of a smart process, not from its entityTypeId (userfieldconfig/events/index.md). */
  private entityIdOf(entityTypeId: number): string {
    const type = this.smartProcesses.findByEntityType(entityTypeId);
    return type ? `CRM_${type.id}` : 'CRM_SMART_INVOICE';
  }
}
