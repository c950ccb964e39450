import { SMART_PROCESS_FIELDS } from '../fields/standard-sets.js';
import type { Value, Values } from '../protocol/php.js';
import { invalidArgument } from '../protocol/rest-error.js';
import { formatTimestamp } from '../protocol/timestamp.js';

/** A smart process: a CRM object type defined by the users of a portal. */
export interface SmartProcess {
  /** Its primary key, the `ID` of ONCRMTYPE* events; not its `entityTypeId`. */
  readonly id: number;
  readonly entityTypeId: number;
  readonly createdAtMs: number;
  readonly createdBy: number;
  updatedAtMs: number;
  updatedBy: number;
  /** Replaced on change, never mutated. */
  fields: Readonly<Values>;
}

export interface TypesBackup {
  lastId: number;
  types: readonly Readonly<SmartProcess>[];
}

const FIRST_GENERATED_ID = 1030;

/** The smart processes of one portal. */
export class SmartProcesses {
  private readonly byId = new Map<number, SmartProcess>();
  private lastId = 0;

  all(): SmartProcess[] {
    return [...this.byId.values()];
  }

  get(id: number): SmartProcess | undefined {
    return this.byId.get(id);
  }

  findByEntityType(entityTypeId: number): SmartProcess | undefined {
    return this.all().find((type) => type.entityTypeId === entityTypeId);
  }

  /**
   * @throws RestError when the id is taken or not one of 128–192 or an even one from 1030 (crm-type-add.md)
   */
  add(entityTypeId: number | undefined, fields: Values, userId: number, nowMs: number): SmartProcess {
    const newId = entityTypeId ?? this.freeEntityTypeId();
    const allowed = (newId >= 128 && newId <= 192) || (newId >= FIRST_GENERATED_ID && newId % 2 === 0);
    if (!allowed) throw invalidArgument('entityTypeId is out of allowed range');
    if (this.findByEntityType(newId)) throw invalidArgument('entityTypeId is already in use');
    this.lastId += 1;
    const type: SmartProcess = {
      id: this.lastId,
      entityTypeId: newId,
      createdAtMs: nowMs,
      createdBy: userId,
      updatedAtMs: nowMs,
      updatedBy: userId,
      fields: writable(fields),
    };
    this.byId.set(type.id, type);
    return type;
  }

  update(type: SmartProcess, fields: Values, userId: number, nowMs: number): void {
    type.fields = { ...type.fields, ...writable(fields) };
    type.updatedAtMs = nowMs;
    type.updatedBy = userId;
  }

  delete(id: number): void {
    this.byId.delete(id);
  }

  backup(): TypesBackup {
    return { lastId: this.lastId, types: this.all().map((type) => ({ ...type })) };
  }

  restore({ lastId, types }: TypesBackup): void {
    this.lastId = lastId;
    this.byId.clear();
    for (const type of types) this.byId.set(type.id, { ...type });
  }

  private freeEntityTypeId(): number {
    let candidate = FIRST_GENERATED_ID;
    while (this.findByEntityType(candidate)) candidate += 2;
    return candidate;
  }
}

export function showSmartProcess(type: SmartProcess): Values {
  return Object.fromEntries(
    [...SMART_PROCESS_FIELDS.names].map((name) => [name, smartProcessValue(type, name)]),
  );
}

export function smartProcessValue(type: SmartProcess, field: string): Value {
  switch (field) {
    case 'id':
    case 'entityTypeId':
    case 'createdBy':
    case 'updatedBy':
      return type[field];
    case 'createdTime':
      return formatTimestamp(type.createdAtMs);
    case 'updatedTime':
      return formatTimestamp(type.updatedAtMs);
    default:
      return type.fields[field] ?? SMART_PROCESS_FIELDS.defaultOf(field);
  }
}

function writable(fields: Values): Values {
  const entries = Object.entries(fields).filter(
    ([name]) => name !== 'entityTypeId' && SMART_PROCESS_FIELDS.isWritable(name) && !name.startsWith('ufCrm'),
  );
  return Object.fromEntries(
    entries.map(([name, value]) => [name, SMART_PROCESS_FIELDS.toStored(name, value)]),
  );
}
