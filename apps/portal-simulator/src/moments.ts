const daySeconds = 86_400;
const mostDays = 10_000;
/** `2024-07-22T`, by the number of the day. A batch of items shows 20,000 moments, on few days. */
const days = new Map<number, string>();
const twoDigits = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, '0'));

/** `2024-07-22T18:00:08+00:00`: how Bitrix24 writes a moment. */
export function momentOf(timeMs: number): string {
  const second = Math.floor(timeMs / 1000);
  const day = Math.floor(second / daySeconds);
  const ofDay = second - day * daySeconds;
  const minute = (ofDay / 60) | 0;
  return `${dayOf(day)}${twoDigits[(minute / 60) | 0]}:${twoDigits[minute % 60]}:${twoDigits[ofDay % 60]}+00:00`;
}

function dayOf(day: number): string {
  let written = days.get(day);
  if (written === undefined) {
    if (days.size >= mostDays) days.clear();
    written = new Date(day * daySeconds * 1000).toISOString().replace(/T.*$/, 'T');
    days.set(day, written);
  }
  return written;
}

/** As `momentOf` writes it, so that two of them compare as texts; undefined if it is no moment. */
export function normalMoment(text: string): string | undefined {
  const timeMs = Date.parse(text);
  return Number.isNaN(timeMs) ? undefined : momentOf(timeMs);
}

/** A date is shown as the beginning of its day (api-reference/crm/universal/crm-item-add.md: `begindate`). */
export function normalDate(text: string): string | undefined {
  return normalMoment(text.slice(0, 'YYYY-MM-DD'.length));
}
