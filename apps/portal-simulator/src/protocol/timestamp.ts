const DAY_SECONDS = 86_400;
const MAX_CACHED_DAYS = 10_000;
/** `2024-07-22T` by the number of the day: a batch of items formats 20,000 timestamps of few days. */
const DAYS = new Map<number, string>();
const TWO_DIGITS = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, '0'));

/** `2024-07-22T18:00:08+00:00`, the format of Bitrix24. */
export function formatTimestamp(timeMs: number): string {
  const second = Math.floor(timeMs / 1000);
  const day = Math.floor(second / DAY_SECONDS);
  const ofDay = second - day * DAY_SECONDS;
  const minute = (ofDay / 60) | 0;
  return `${dayOf(day)}${TWO_DIGITS[(minute / 60) | 0]}:${TWO_DIGITS[minute % 60]}:${TWO_DIGITS[ofDay % 60]}+00:00`;
}

function dayOf(day: number): string {
  let written = DAYS.get(day);
  if (written === undefined) {
    if (DAYS.size >= MAX_CACHED_DAYS) DAYS.clear();
    written = new Date(day * DAY_SECONDS * 1000).toISOString().replace(/T.*$/, 'T');
    DAYS.set(day, written);
  }
  return written;
}

/** In the format of `formatTimestamp`, so that two compare as texts; undefined for an invalid text. */
export function normalizeTimestamp(text: string): string | undefined {
  const timeMs = Date.parse(text);
  return Number.isNaN(timeMs) ? undefined : formatTimestamp(timeMs);
}

/** A date is the timestamp of the beginning of its day (api-reference/crm/universal/crm-item-add.md: `begindate`). */
export function normalizeDate(text: string): string | undefined {
  return normalizeTimestamp(text.slice(0, 'YYYY-MM-DD'.length));
}
