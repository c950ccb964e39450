import type { OfflineRecord } from '../events/offline-queue.js';
import { integerOf, isTree, listOf, textOf, type Value } from '../protocol/php.js';
import { RestError } from '../protocol/rest-error.js';
import { formatTimestamp } from '../protocol/timestamp.js';

/** Fields of filters and orders; `event.offline.list` also takes the last two. */
const GET_FIELDS = ['ID', 'TIMESTAMP_X', 'EVENT_NAME', 'MESSAGE_ID'] as const;
const LIST_FIELDS = [...GET_FIELDS, 'PROCESS_ID', 'ERROR'] as const;
type Field = (typeof LIST_FIELDS)[number];
type RecordTest = (record: OfflineRecord) => boolean;

interface FilterRules {
  fields: readonly Field[];
  operators: readonly string[];
}

export const GET_RULES: FilterRules = { fields: GET_FIELDS, operators: ['', '=', '>', '<', '>=', '<='] };
export const LIST_RULES: FilterRules = {
  fields: LIST_FIELDS,
  operators: [...GET_RULES.operators, '@', '%'],
};

/** @throws RestError ERROR_ARGUMENT */
export function parseOfflineFilter(given: Value | undefined, rules: FilterRules): RecordTest {
  if (given === undefined || given === null || given === '') return () => true;
  if (Array.isArray(given) && given.length === 0) return () => true;
  if (!isTree(given)) throw invalidParameter('filter');
  const tests = Object.entries(given).map(([key, value]) => parseCondition(key, value, rules));
  return (record) => tests.every((test) => test(record));
}

function parseCondition(key: string, value: Value, { fields, operators }: FilterRules): RecordTest {
  const [, operator = '', name = ''] = /^([^A-Z]*)(.*)$/i.exec(key) ?? [];
  const field = fields.find((one) => one === name.toUpperCase());
  if (field === undefined || !operators.includes(operator)) throw invalidParameter('filter');
  const operands = Array.isArray(value) || isTree(value) ? listOf(value) : [value];
  const keys = operands.map((operand) => operandOf(field, operand));
  const [first] = keys;
  switch (operator) {
    case '':
    case '=':
    case '@':
      return (record) => keys.includes(valueOf(record, field));
    case '%':
      return (record) => String(valueOf(record, field)).includes(String(first));
    default:
      if (first === undefined) throw invalidParameter('filter');
      return (record) => compare(valueOf(record, field), first, operator);
  }
}

function compare(actual: string | number, operand: string | number, operator: string): boolean {
  if (operator === '>') return actual > operand;
  if (operator === '<') return actual < operand;
  return operator === '>=' ? actual >= operand : actual <= operand;
}

function operandOf(field: Field, operand: Value): string | number {
  const text = textOf(operand);
  if (text === undefined) throw invalidParameter('filter');
  if (field === 'TIMESTAMP_X') {
    const timeMs = Date.parse(text);
    if (Number.isNaN(timeMs)) throw invalidParameter('filter');
    return timeMs;
  }
  if (field !== 'ID' && field !== 'ERROR') return field === 'EVENT_NAME' ? text.toUpperCase() : text;
  const number = integerOf(text);
  if (number === undefined) throw invalidParameter('filter');
  return number;
}

function valueOf(record: OfflineRecord, field: Field): string | number {
  switch (field) {
    case 'ID':
      return record.id;
    case 'TIMESTAMP_X':
      return record.timestampMs;
    case 'EVENT_NAME':
      return record.event;
    case 'MESSAGE_ID':
      return record.messageId;
    case 'PROCESS_ID':
      return record.processId;
    case 'ERROR':
      return Number(record.isError);
    default:
      return field satisfies never;
  }
}

/** Ties are broken by ID. @throws RestError ERROR_ARGUMENT */
export function parseOfflineOrder(
  given: Value | undefined,
  { fields }: FilterRules,
  byDefault: Field,
): (one: OfflineRecord, other: OfflineRecord) => number {
  const isGiven = given !== undefined && given !== null && given !== '';
  if (isGiven && !isTree(given) && !(Array.isArray(given) && given.length === 0))
    throw invalidParameter('order');
  const entries = isTree(given) ? Object.entries(given) : [];
  const orders = entries.map(([name, direction]) => {
    const field = fields.find((one) => one === name.toUpperCase());
    const way = textOf(direction)?.toUpperCase();
    if (field === undefined || (way !== 'ASC' && way !== 'DESC')) throw invalidParameter('order');
    return { field, sign: way === 'ASC' ? 1 : -1 };
  });
  if (orders.length === 0) orders.push({ field: byDefault, sign: 1 });
  orders.push({ field: 'ID', sign: 1 });
  return (one, other) => {
    for (const { field, sign } of orders) {
      const [left, right] = [valueOf(one, field), valueOf(other, field)];
      if (left !== right) return left < right ? -sign : sign;
    }
    return 0;
  };
}

export function showRecord(record: OfflineRecord): Record<string, Value> {
  return {
    ID: String(record.id),
    TIMESTAMP_X: formatTimestamp(record.timestampMs),
    EVENT_NAME: record.event,
    EVENT_DATA: record.data,
    EVENT_ADDITIONAL: record.additional,
    MESSAGE_ID: record.messageId,
  };
}

export function invalidParameter(argument: string): RestError {
  return new RestError('ERROR_ARGUMENT', `Argument '${argument}' is invalid`);
}
