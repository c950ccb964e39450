const mostMoments = 10_000;
const moments = new Map<number, string>();

/** `2024-07-22T18:00:08+00:00`: how Bitrix24 writes a moment. Thousands of items share one, so it is kept. */
export function momentOf(timeMs: number): string {
  const second = Math.floor(timeMs / 1000);
  let moment = moments.get(second);
  if (moment === undefined) {
    if (moments.size >= mostMoments) moments.clear();
    moment = `${new Date(second * 1000).toISOString().slice(0, 19)}+00:00`;
    moments.set(second, moment);
  }
  return moment;
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
