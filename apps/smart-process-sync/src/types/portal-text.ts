/** Bitrix24 limits names, labels and options to 255 characters. */
const MAX_LENGTH = 1_000;

/** A portal's name, title or option as PostgreSQL can store it, in text and in JSON: without NUL and lone surrogates. */
export function readText(told: string | number): string {
  return String(told)
    .slice(0, MAX_LENGTH)
    .replaceAll('\0', '')
    .replace(/\p{Surrogate}/gu, '\uFFFD');
}
