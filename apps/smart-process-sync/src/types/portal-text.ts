/** Bitrix24 keeps names, labels and options in 255 characters. */
const MAX_LENGTH = 1_000;

/** A name, title or option of a portal's as PostgreSQL keeps it, alone and in JSON: no NUL, no half of a surrogate pair. */
export function readText(told: string | number): string {
  return String(told)
    .slice(0, MAX_LENGTH)
    .replaceAll('\0', '')
    .replace(/\p{Surrogate}/gu, '\uFFFD');
}
