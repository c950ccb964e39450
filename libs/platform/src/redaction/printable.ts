/**
 * Control and format characters, line separators, lone surrogates: they move the cursor, hide text or change its
 * direction.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
/** The same except line feeds and tabs, which a multi-line text contains. */
const UNPRINTABLE_IN_LINES = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const REPLACEMENT = '\u{FFFD}';

/**
 * Makes a foreign text safe for a terminal, in one line: a portal's domain or a user's name must not control the
 * terminal, nor fake another line.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, REPLACEMENT);
}

/** The same for a multi-line text, such as a stack. */
export function printableLines(text: string): string {
  return text.replace(UNPRINTABLE_IN_LINES, REPLACEMENT);
}

/** Applies `printable` to every text in parsed JSON, including names. */
export function printableJson(value: unknown): unknown {
  if (typeof value === 'string') return printable(value);
  if (Array.isArray(value)) return value.map(printableJson);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [printable(name), printableJson(one)]),
  );
}

/** Equivalent JSON text with these characters escaped; a final line break stays. */
export function escapeUnprintable(json: string): string {
  return json.replace(UNPRINTABLE_IN_LINES, (character) =>
    Array.from({ length: character.length }, (_, at) => escaped(character.charCodeAt(at))).join(''),
  );
}

function escaped(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}
