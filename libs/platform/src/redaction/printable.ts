/** Control and format characters, line separators, halves of a pair: what moves a cursor, hides or turns text round. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
/** The same but for the ends of lines and tabs, which a text of several lines has of its own. */
const UNPRINTABLE_IN_LINES = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const REPLACEMENT = '\u{FFFD}';

/**
 * A foreign text as a terminal may show it, in one line: a portal's domain or a user's name must not steer the terminal,
 * nor look like another line.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, REPLACEMENT);
}

/** The same for a text of several lines, such as a stack. */
export function printableLines(text: string): string {
  return text.replace(UNPRINTABLE_IN_LINES, REPLACEMENT);
}

/** Every text within parsed JSON as `printable` has it, names included. */
export function printableJson(value: unknown): unknown {
  if (typeof value === 'string') return printable(value);
  if (Array.isArray(value)) return value.map(printableJson);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [printable(name), printableJson(one)]),
  );
}

/** JSON text that says the same, with these characters as escapes; a line break at its end stays. */
export function escapeUnprintable(json: string): string {
  return json.replace(UNPRINTABLE_IN_LINES, (character) =>
    Array.from({ length: character.length }, (_, at) => escaped(character.charCodeAt(at))).join(''),
  );
}

function escaped(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}
