/**
 * Invisible characters that come in by copy and paste: soft hyphen, zero-width space, marks and overrides of writing
 * direction, word joiner, byte order mark, and all controls. Controls that are white space (tab, line feed) separate
 * words, so they are spared here and become a space below.
 */
const INVISIBLE =
  /(?!\p{White_Space})[\p{Cc}\u00AD\u061C\u180E\u200B\u200E\u200F\u202A-\u202E\u2060-\u2064\u2066-\u206F\uFEFF\uFFF9-\uFFFB]/gu;

/** Scripts in which a joiner is spelling, also at the end of a word (Malayalam's chillu letters). */
const INDIC = scripts('Deva Beng Guru Gujr Orya Taml Telu Knda Mlym Sinh Mymr Khmr');
/** Scripts in which it is spelling between two letters. */
const CURSIVE = scripts('Arab Syrc Mong Nkoo');

/**
 * The joiners U+200C and U+200D have no width either, but where letters join they are spelling: without them Persian
 * `علی‌رضا` and Malayalam `രാജന്‍` are other words, and a family emoji falls apart. Only there they stay. Marks are skipped,
 * since normalisation may reorder them.
 */
const JOINER = new RegExp(
  [
    `((?<=[${INDIC}]\\p{Mark}*)[\\u200C\\u200D]`,
    `(?<=[${CURSIVE}]\\p{Mark}*)[\\u200C\\u200D](?=\\p{Mark}*[${CURSIVE}])`,
    `(?<=\\p{Extended_Pictographic}[\\uFE0F\\u{1F3FB}-\\u{1F3FF}]?)\\u200D(?=\\p{Extended_Pictographic}))`,
    `[\\u200C\\u200D]`,
  ].join('|'),
  'gu',
);

/** NFC, no invisible characters, no white space at the ends, one plain space inside. May end up empty. */
export function clean(text: string): string {
  return text
    .replace(INVISIBLE, '')
    .replace(JOINER, '$1')
    .normalize('NFC')
    .replace(/\p{White_Space}+/gu, ' ')
    .trim();
}

function scripts(codes: string): string {
  return codes.replace(/\w{4} ?/gu, (code) => `\\p{Script=${code.trim()}}`);
}
