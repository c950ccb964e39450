import { isCompany } from './abbreviations.js';
import { ALONE, Field, type NameContext, type NameOptions, type Word } from './field.js';
import { lettersOf } from './letters.js';

/** Contained in telephone numbers, addresses and e-mail addresses, never in a name. */
const NOT_A_NAME = /[\p{Number}@＠/／]/u;

/** In UTF-16 units; ten times what a name field of Bitrix24 holds. It bounds the work for a text from a hostile portal. */
const MAX_LENGTH = 500;

/** Separates words. An apostrophe, a middle dot (`Gal·la`) and unknown characters (`M�ller`) are part of a word. */
const SEPARATOR = /([ \p{Dash_Punctuation}.,;:&+()[\]{}<>"«»„“”]+)/u;

/**
 * A person's name as people write it: `o'neil` → `O'Neil`, `LUDWIG VAN BEETHOVEN` → `Ludwig van Beethoven`. Takes the
 * content of one field (name, second name or last name) and changes nothing in it but case, white space and invisible
 * characters.
 *
 * Evidence of intent wins. A field with a word in capital and small letters, each where some custom of writing has them, is
 * written with care: its words stay, in small letters, too, where they may be meant (`van`, `y`), and so do two or three capitals
 * (`JJ`), also if only another field of the contact shows the care. What is all small, all capital or plainly wrong (`jOHN`,
 * `SMith`) is put right.
 *
 * Formatting is idempotent, which ends the loop of events that our own writes cause. A text that is not a person's name, or would
 * become empty, is returned unchanged.
 */
export function formatName(value: string, options: NameOptions = {}, context: NameContext = ALONE): string {
  const words = wordsOf(value, options);
  if (!words) return value;
  return joinWords(words, new Field(words, options, context).format()).normalize('NFC');
}

/** Whether the field shows by itself that its writer cares for capitals. Formatting does not change this. */
export function hasDeliberateCase(value: string, options: NameOptions = {}): boolean {
  const words = wordsOf(value, options);
  return words !== undefined && new Field(words, options, ALONE).hasDeliberateCase;
}

/** Undefined if it is no person's name. */
function wordsOf(value: string, { language }: NameOptions): Word[] | undefined {
  if (value.length > MAX_LENGTH || NOT_A_NAME.test(value)) return undefined;
  const cleaned = clean(value);
  return cleaned === '' || isCompany(cleaned) ? undefined : splitWords(cleaned, language);
}

/** A split that captures its separators alternates words and separators; the first and the last piece are words. */
function splitWords(text: string, language: string | undefined): Word[] {
  const pieces = text.split(SEPARATOR);
  return pieces.flatMap((piece, i) => {
    if (i % 2 > 0) return [];
    const letters = lettersOf(piece, language);
    return { text: letters.repair(piece), letters, before: pieces[i - 1] ?? '', after: pieces[i + 1] ?? '' };
  });
}

function joinWords(words: Word[], texts: string[]): string {
  return words.map((word, i) => word.before + texts[i]).join('');
}

/**
 * Invisible characters from copied text: soft hyphen, zero-width space, marks and overrides of writing
 * direction, word joiner, byte order mark, and all controls. Controls that are white space (tab, line feed) separate
 * words: they become a space below.
 */
const INVISIBLE =
  /(?!\p{White_Space})[\p{Cc}\u00AD\u061C\u180E\u200B\u200E\u200F\u202A-\u202E\u2060-\u2064\u2066-\u206F\uFEFF\uFFF9-\uFFFB]/gu;

/** Scripts in which a joiner is part of the spelling, also at the end of a word (Malayalam's chillu letters). */
const INDIC = scriptClasses('Deva Beng Guru Gujr Orya Taml Telu Knda Mlym Sinh Mymr Khmr');
/** Scripts in which it is part of the spelling between two letters. */
const CURSIVE = scriptClasses('Arab Syrc Mong Nkoo');

/**
 * The joiners U+200C and U+200D are invisible, too, but part of the spelling where letters join: without them Persian
 * `علی‌رضا` and Malayalam `രാജന്‍` are other words, and a family emoji falls apart. They are kept only there. Marks are
 * skipped, since normalisation may reorder them.
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

/** NFC, without invisible characters and outer white space; inner white space becomes one space. May become empty. */
function clean(text: string): string {
  return text
    .replace(INVISIBLE, '')
    .replace(JOINER, '$1')
    .normalize('NFC')
    .replace(/\p{White_Space}+/gu, ' ')
    .trim();
}

function scriptClasses(codes: string): string {
  return codes.replace(/\w{4} ?/gu, (code) => `\\p{Script=${code.trim()}}`);
}
