/** What the API says is foreign: names of portals, their errors, titles that their users gave. */

/** Control characters, and those that turn round what stands beside them. The marks of a language that is written from the right stay. */
const STEERING = /(?![\n\t])[\p{Cc}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069]/gu;

export function shownText(text: string): string {
  return text.replace(STEERING, '\u{FFFD}');
}

/** Every text of parsed JSON, names included, without characters that change how other text is shown. */
export function withoutSteering(value: unknown): unknown {
  if (typeof value === 'string') return shownText(value);
  if (Array.isArray(value)) return value.map(withoutSteering);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [shownText(name), withoutSteering(one)]),
  );
}

/** Of a time in ISO 8601, in this browser's way. */
export function timeOfDay(iso: string): string {
  const time = new Date(iso);
  return Number.isNaN(time.getTime()) ? 'at an unknown time' : time.toLocaleTimeString();
}

export function dateAndTime(iso: string): string {
  const time = new Date(iso);
  return Number.isNaN(time.getTime()) ? 'at an unknown time' : time.toLocaleString();
}
