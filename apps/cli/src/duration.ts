import { age } from '@relay/admin-contract';
import { UsageError } from './usage-error.js';

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

/** `45 s`, `12 min`, `3 h`, `2 d`, rounded for reading; `-` without a time. */
export function formatAge(iso: string | null, now = Date.now()): string {
  return iso === null ? '-' : age(iso, now);
}

/** `in 45 s`, `in 12 min`; `now` for a time that has passed. */
export function formatUntil(iso: string, now = Date.now()): string {
  const leftMs = Date.parse(iso) - now;
  return leftMs <= 0 ? 'now' : `in ${age(new Date(now - leftMs).toISOString(), now)}`;
}
