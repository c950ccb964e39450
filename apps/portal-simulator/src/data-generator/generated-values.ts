import type { UserField } from '../fields/field.js';
import type { Value } from '../protocol/php.js';
import { formatTimestamp } from '../protocol/timestamp.js';

const DAY_MS = 86_400_000;
/** 2024-01-01 */
const FIRST_DAY_MS = Date.UTC(2024, 0, 1);
const WORDS = 'alder birch cedar elm fir hazel larch maple oak pine rowan spruce willow вишня дуб клен'.split(
  ' ',
);
const CURRENCIES = ['EUR', 'USD', 'UAH'];
const ADDRESSES = ['350 5th Avenue, New York', 'Unter den Linden 6, Berlin', 'вул. Хрещатик 22, Київ'];
const SOURCES = ['CALL', 'EMAIL', 'WEB', 'ADVERTISING'];
/** Prefixes of a link to a CRM item (api-reference/crm/data-types.md#object_type). */
const LINK_PREFIXES = ['L', 'D', 'C', 'CO'];

/** A value of one standard field; undefined to use its default. `number` has 32 bits. */
export function generateStandardValue(name: string, id: number, number: number): Value | undefined {
  switch (name) {
    case 'title':
      return `${phrase(number)} ${id}`;
    case 'name':
    case 'secondName':
    case 'lastName':
      return pick(WORDS, number);
    case 'xmlId':
      return number % 4 === 0 ? `ext-${number.toString(16)}` : null;
    case 'assignedById':
      return 1 + (number % 20);
    case 'opened':
    case 'isManualOpportunity':
      return number % 5 === 0 ? 'N' : 'Y';
    case 'opportunity':
      return (number % 10_000_000) / 100;
    case 'taxValue':
      return (number % 10_000) / 100;
    case 'currencyId':
      return pick(CURRENCIES, number);
    case 'sourceId':
      return pick(SOURCES, number);
    case 'sourceDescription':
      return number % 3 === 0 ? phrase(number) : null;
    case 'companyId':
    case 'contactId':
      return number % 500;
    case 'contactIds':
    case 'observers':
      return many(number, (one) => 1 + (one % 500));
    case 'begindate':
    case 'closedate':
      return number % 6 === 0 ? null : formatTimestamp(dayOf(number));
    default:
      return undefined;
  }
}

/** A value of a user field, in the form of crm.item.*; one of ten is empty. */
export function generateUserValue(field: UserField, number: number): Value {
  if (field.isMultiple) return number % 10 === 0 ? [] : many(number, (one) => generateOneValue(field, one));
  if (number % 10 === 0 && field.type !== 'boolean') return null;
  return generateOneValue(field, number);
}

function generateOneValue({ type, items }: UserField, number: number): Value {
  switch (type) {
    case 'string':
      return `${phrase(number)} № ${number % 1000}`;
    case 'integer':
      return (number % 200_001) - 100_000;
    case 'double':
      return ((number % 2_000_001) - 1_000_000) / 100;
    case 'boolean':
      return number % 2 === 0 ? 'Y' : 'N';
    case 'date':
      return formatTimestamp(dayOf(number));
    case 'datetime':
      return formatTimestamp(dayOf(number) + (number % 86_400) * 1000);
    case 'money':
      return `${(number % 1_000_000) / 100}|${pick(CURRENCIES, number)}`;
    case 'url':
      return `https://example.com/${pick(WORDS.slice(0, 13), number)}/${number % 1000}`;
    case 'address':
      return `${pick(ADDRESSES, number)}|${40 + (number % 1000) / 100};${30 + (number % 700) / 100}|${number % 10_000}`;
    case 'enumeration':
      return items[number % Math.max(items.length, 1)]?.id ?? null;
    case 'file':
      return { id: 1 + (number % 100_000) };
    case 'crm':
      return `${pick(LINK_PREFIXES, number)}_${1 + (number % 1000)}`;
    case 'crm_status':
      return pick(SOURCES, number);
    case 'employee':
    case 'iblock_section':
    case 'iblock_element':
    default:
      return 1 + (number % 20);
  }
}

function many<T extends Value>(number: number, one: (number: number) => T): T[] {
  const values: T[] = [];
  for (let index = 0; index <= number % 3; index += 1) values.push(one(roll(number, index, 0)));
  return values;
}

function phrase(number: number): string {
  return `${pick(WORDS, number)} ${pick(WORDS, number >>> 8)}`;
}

function dayOf(number: number): number {
  return FIRST_DAY_MS + (number % 1000) * DAY_MS;
}

function pick<T>(list: readonly [T, ...T[]] | readonly T[], number: number): T {
  const one = list[number % list.length];
  if (one === undefined) throw new Error('cannot pick from an empty list');
  return one;
}

const { imul } = Math;

/** A pseudo-random generator: the same seed gives the same numbers. */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** 0 to 2³²−1. */
  next(): number {
    this.state = (this.state + 0x9e3779b9) >>> 0;
    return mix(this.state);
  }

  /** From 0 up to `limit`, which is excluded. */
  below(limit: number): number {
    return Math.floor((this.next() / 2 ** 32) * limit);
  }

  happens(chance: number): boolean {
    return this.next() / 2 ** 32 < chance;
  }
}

/** A 32-bit number that depends on the three arguments only. */
export function roll(seed: number, id: number, salt: number): number {
  return mix(mix(mix(seed >>> 0) ^ id) ^ salt);
}

/** The finaliser of MurmurHash3: every bit of the input changes half of the output's. */
function mix(value: number): number {
  let hash = value;
  hash = imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
