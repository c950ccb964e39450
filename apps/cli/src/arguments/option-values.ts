import { UsageError } from './usage-error.js';

/** A CRM object type whose user fields are wanted. */
export interface ObjectType {
  entityTypeId: number;
  /** Part of names in code: `Deal`, `SmartProcess147`. */
  name: string;
}

/** `api-reference/crm/data-types.md`, object types. */
export const STANDARD_OBJECT_TYPES: readonly ObjectType[] = [
  { entityTypeId: 1, name: 'Lead' },
  { entityTypeId: 2, name: 'Deal' },
  { entityTypeId: 3, name: 'Contact' },
  { entityTypeId: 4, name: 'Company' },
  { entityTypeId: 7, name: 'Quote' },
  { entityTypeId: 31, name: 'Invoice' },
];

/** @throws UsageError */
export function parseObjectType(text: string): ObjectType {
  const standard = STANDARD_OBJECT_TYPES.find(({ name }) => name.toLowerCase() === text.toLowerCase());
  if (standard) return standard;
  const entityTypeId = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : 0;
  if (entityTypeId === 0 || entityTypeId > 2 ** 31 - 1) {
    const names = STANDARD_OBJECT_TYPES.map(({ name }) => name.toLowerCase());
    throw new UsageError(`must be ${names.join(', ')}, or the entityTypeId of a smart process, such as 147.`);
  }
  const known = STANDARD_OBJECT_TYPES.find((each) => each.entityTypeId === entityTypeId);
  return known ?? { entityTypeId, name: `SmartProcess${entityTypeId}` };
}

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 24 * 3_600_000 };

/**
 * Parses `2026-11-25T08:00:00Z`, or an age: `90s`, `30m`, `2h`, `7d`.
 * @returns the time in ISO 8601. @throws UsageError if it is neither
 */
export function parseTime(text: string, now = Date.now()): string {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (count !== undefined && (unit === 's' || unit === 'm' || unit === 'h' || unit === 'd')) {
    return new Date(now - Number(count) * UNIT_MS[unit]).toISOString();
  }
  // A time without a zone would be local, and the control plane's zone may differ.
  const isComplete = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text);
  const time = isComplete ? new Date(text) : undefined;
  if (time && !Number.isNaN(time.getTime())) return time.toISOString();
  throw new UsageError(
    `${text} is no time: give one such as 2026-11-25T08:00:00Z, or an age such as 90s, 30m, 2h, 7d.`,
  );
}

export function parseEvents(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  return names.filter((name) => name !== '');
}

/** @throws UsageError */
export function parseLimit(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError('must be a whole number from 1 on.');
  return Number(text);
}

/** @throws UsageError */
export function parseRate(text: string): number {
  const rate = /^\d{1,4}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (rate < 1 || rate > 1_000) throw new UsageError('must be a number from 1 to 1000.');
  return rate;
}
