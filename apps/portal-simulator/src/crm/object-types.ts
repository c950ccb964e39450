import type { Parent } from '../fields/field-set.js';
import type { UserField } from '../fields/field.js';
import { MULTIFIELD_VALUES } from '../fields/multifields.js';
import {
  COMPANY_TYPE_ID,
  CONTACT_TYPE_ID,
  DEAL_TYPE_ID,
  INVOICE_TYPE_ID,
  itemFields,
  LEAD_TYPE_ID,
  QUOTE_TYPE_ID,
} from '../fields/standard-sets.js';
import { UserFields, type Sequences } from '../fields/user-fields.js';
import { ItemStore, type ItemsBackup } from '../items/item-store.js';
import type { ItemRules } from '../items/item.js';
import { listOf, integerOf, textOf, type Value, type Values } from '../protocol/php.js';
import { unknownSmartProcess } from '../protocol/rest-error.js';
import { Pipelines, type PipelinesBackup } from './pipelines.js';
import { SmartProcesses, smartProcessValue, type TypesBackup } from './smart-processes.js';

/** An object type that every portal has (api-reference/crm/data-types.md#object_type). */
interface StandardType {
  entityTypeId: number;
  /** `DEAL` in `ONCRMDEALADD` and `CRM_DEAL`. */
  code: string;
  title: string;
}

const STANDARD_TYPES: readonly StandardType[] = [
  { entityTypeId: LEAD_TYPE_ID, code: 'LEAD', title: 'Lead' },
  { entityTypeId: DEAL_TYPE_ID, code: 'DEAL', title: 'Deal' },
  { entityTypeId: CONTACT_TYPE_ID, code: 'CONTACT', title: 'Contact' },
  { entityTypeId: COMPANY_TYPE_ID, code: 'COMPANY', title: 'Company' },
  { entityTypeId: QUOTE_TYPE_ID, code: 'QUOTE', title: 'Estimate' },
];
const BY_ENTITY_TYPE_ID = new Map(STANDARD_TYPES.map((type) => [type.entityTypeId, type]));

interface ObjectType {
  store: ItemStore;
  /** Undefined for contacts: their user fields are not described. */
  userFields?: UserFields;
}

export interface ObjectsBackup {
  sequences: Sequences;
  types: TypesBackup;
  pipelines: PipelinesBackup;
  objects: readonly { entityTypeId: number; items: ItemsBackup; userFields: readonly UserField[] }[];
}

/**
 * The CRM object types of one portal: leads, deals, contacts, companies, quotes, new invoices and smart processes; their
 * items, their fields and their pipelines.
 */
export class ObjectTypes {
  readonly smartProcesses = new SmartProcesses();
  readonly pipelines = new Pipelines();
  private readonly sequences: Sequences = { field: 0, option: 0, file: 0, multifield: 0 };
  private readonly byId = new Map<number, ObjectType>();

  constructor() {
    for (const { entityTypeId } of STANDARD_TYPES) this.add(entityTypeId);
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

  /** Adds the pipeline, items and fields of a new smart process, or of invoices. */
  addType(entityTypeId: number): void {
    this.pipelines.addCategory(entityTypeId, { id: entityTypeId % 100, name: 'General' });
    this.add(entityTypeId);
  }

  removeType(entityTypeId: number): void {
    this.byId.delete(entityTypeId);
    this.pipelines.removeType(entityTypeId);
  }

  backup(): ObjectsBackup {
    return {
      sequences: { ...this.sequences },
      types: this.smartProcesses.backup(),
      pipelines: this.pipelines.backup(),
      objects: [...this.byId].map(([entityTypeId, { store, userFields }]) => ({
        entityTypeId,
        items: store.backup(),
        userFields: userFields?.all() ?? [],
      })),
    };
  }

  /** Removes types that were added since, brings deleted ones back. Ids that were given since will be given again. */
  restore({ sequences, types, pipelines, objects }: ObjectsBackup): void {
    Object.assign(this.sequences, sequences);
    this.smartProcesses.restore(types);
    this.pipelines.restore(pipelines);
    const kept = new Set(objects.map(({ entityTypeId }) => entityTypeId));
    for (const entityTypeId of this.byId.keys()) if (!kept.has(entityTypeId)) this.byId.delete(entityTypeId);
    for (const { entityTypeId, items, userFields } of objects) {
      // Another smart process may have had this entityTypeId in the meantime.
      if (!BY_ENTITY_TYPE_ID.has(entityTypeId)) this.add(entityTypeId);
      this.objectType(entityTypeId).userFields?.restore(userFields);
      this.items(entityTypeId).restore(items);
    }
  }

  private add(entityTypeId: number): void {
    const userFields =
      entityTypeId === CONTACT_TYPE_ID
        ? undefined
        : new UserFields(this.entityIdOf(entityTypeId), this.sequences);
    const fields = itemFields(entityTypeId, {
      ...(userFields && { userFields }),
      hasSetting: (setting) => {
        const type = this.smartProcesses.findByEntityType(entityTypeId);
        return !type || smartProcessValue(type, setting) === 'Y';
      },
      parents: () => this.parentsOf(entityTypeId),
      nextFile: () => (this.sequences.file += 1),
      nextMultifield: () => (this.sequences.multifield += 1),
    });
    const store = new ItemStore(entityTypeId, fields, rulesOf(entityTypeId, this.pipelines));
    this.byId.set(entityTypeId, { store, ...(userFields && { userFields }) });
  }

  private objectType(entityTypeId: number): ObjectType {
    const objectType = this.byId.get(entityTypeId);
    if (!objectType) throw unknownSmartProcess();
    return objectType;
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

  /** Of a smart process built from its primary key, not from its entityTypeId (userfieldconfig/events/index.md). */
  private entityIdOf(entityTypeId: number): string {
    const standard = BY_ENTITY_TYPE_ID.get(entityTypeId);
    if (standard) return `CRM_${standard.code}`;
    const type = this.smartProcesses.findByEntityType(entityTypeId);
    return type ? `CRM_${type.id}` : 'CRM_SMART_INVOICE';
  }
}

/** `DEAL`; undefined for invoices and smart processes. */
export function standardCodeOf(entityTypeId: number): string | undefined {
  return BY_ENTITY_TYPE_ID.get(entityTypeId)?.code;
}

type Read = (field: string) => Value;

function rulesOf(entityTypeId: number, pipelines: Pipelines): ItemRules {
  const stagesOf = (categoryId: number | null) =>
    pipelines.stages(entityTypeId, categoryId).map(({ statusId }) => statusId);
  const title =
    BY_ENTITY_TYPE_ID.get(entityTypeId)?.title ?? (entityTypeId === INVOICE_TYPE_ID ? 'Invoice' : 'Item');
  switch (entityTypeId) {
    case CONTACT_TYPE_ID:
      return { defaults: {}, computed: MULTIFIELD_VALUES, stages: () => [] };
    case COMPANY_TYPE_ID:
      return { defaults: { title }, computed: MULTIFIELD_VALUES, stages: () => [] };
    case LEAD_TYPE_ID:
    case QUOTE_TYPE_ID:
    case DEAL_TYPE_ID: {
      const categoryId = entityTypeId === DEAL_TYPE_ID ? 0 : null;
      const [stageId = null] = stagesOf(categoryId);
      return {
        defaults: { title, stageId },
        computed: {
          ...(entityTypeId === LEAD_TYPE_ID && MULTIFIELD_VALUES),
          ...stageValues(entityTypeId, pipelines),
        },
        complete: (written, read) => ({ ...withContacts(written), ...firstStage(written, read, stagesOf) }),
        stages: () => stagesOf(categoryId),
      };
    }
    default: {
      const categoryId = entityTypeId % 100;
      const [stageId = null] = stagesOf(categoryId);
      return {
        defaults: { title, categoryId, stageId },
        complete: (written, read) => firstStage(written, read, stagesOf),
        stages: () => stagesOf(categoryId),
      };
    }
  }
}

/** What follows from the stage of a lead, a deal or a quote. */
function stageValues(entityTypeId: number, pipelines: Pipelines): Record<string, (read: Read) => Value> {
  const categoryOf = (read: Read) =>
    entityTypeId === DEAL_TYPE_ID ? (integerOf(read('categoryId')) ?? 0) : null;
  const semantics = (read: Read) =>
    pipelines.semanticsOf(entityTypeId, categoryOf(read), textOf(read('stageId')) ?? '');
  return {
    stageSemanticId: semantics,
    closed: (read) => (semantics(read) === 'P' ? 'N' : 'Y'),
    dateClosed: (read) => (semantics(read) === 'P' ? null : read('movedTime')),
    isNew: (read) => {
      const [first] = pipelines.stages(entityTypeId, categoryOf(read));
      return first?.statusId === read('stageId') ? 'Y' : 'N';
    },
  };
}

/** An item that comes to another pipeline is in its first stage, unless the caller says in which. */
function firstStage(
  written: Values,
  read: Read,
  stagesOf: (categoryId: number) => readonly string[],
): Values {
  const categoryId = integerOf(written['categoryId']);
  if (categoryId === undefined || categoryId === read('categoryId') || 'stageId' in written) return {};
  const [stageId] = stagesOf(categoryId);
  return stageId === undefined ? {} : { stageId };
}

/** `contactId` is the first one of `contactIds`. */
function withContacts(written: Values): Values {
  if ('contactIds' in written) {
    const contactIds = listOf(written['contactIds']).flatMap((id) => integerOf(id) ?? []);
    return { contactIds, contactId: contactIds[0] ?? 0 };
  }
  const contactId = integerOf(written['contactId']);
  return contactId === undefined ? {} : { contactIds: contactId > 0 ? [contactId] : [] };
}
