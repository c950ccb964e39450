import { type Letters, lettersOf, plainWord } from './letters.js';
import { canBeLowerCase, isLowerCase, isParticle, type ParticleCase } from './particles.js';
import { formatWord } from './word.js';

/** Contained in telephone numbers, addresses and e-mail addresses, never in a name. */
const NOT_A_NAME = /[\p{Number}@＠/／]/u;

/** Separates words. An apostrophe, a middle dot (`Gal·la`) and unknown characters (`M�ller`) are part of a word. */
const SEPARATOR = /([ \p{Dash_Punctuation}.,;:&+()[\]{}<>"«»„“”]+)/u;

const GENERATIONS = new Set(['ii', 'iii', 'iv']);
const SUFFIXES = new Set(['jr', 'sr', ...GENERATIONS]);

export interface NameOptions {
  /** Language code of the portal, in any case: `tr`, `nl-BE`. Turkish and Azerbaijani `i` and Dutch `ij` depend on it. */
  language?: string;
  /** The default is `lower`. */
  particles?: ParticleCase;
}

interface Word {
  text: string;
  letters: Letters;
  /** Separators before and after it: spaces, hyphens, dots … */
  before: string;
  after: string;
}

/**
 * A person's name as people write it: `o'neil` → `O'Neil`, `LUDWIG VAN BEETHOVEN` → `Ludwig van Beethoven`. Takes the
 * content of one field (name, second name or last name) and changes nothing in it but case, white space and invisible
 * characters. Formatting is idempotent, which ends the loop of events that our own writes cause. A text that is not a name,
 * or would become empty, is returned unchanged.
 */
export function formatName(value: string, { language, particles = 'lower' }: NameOptions = {}): string {
  if (NOT_A_NAME.test(value)) return value;
  const cleaned = clean(value);
  if (cleaned === '') return value;
  const words = splitWords(cleaned, language);
  return joinWords(words, formatWords(words, particles)).normalize('NFC');
}

function formatWords(words: Word[], particleCase: ParticleCase): string[] {
  const first = words.findIndex(isName);
  const final = words.findLastIndex(isName);
  const suffix = isSuffix(words[final], final > first) ? final : -1;
  const last = words.findLastIndex((word, i) => isName(word) && i !== suffix);
  const isWellWritten = words.some((word, i) => isCapitalised(word, i === first));
  return words.map((word, i) => {
    const { text, letters, before, after } = word;
    if (i === suffix) return formatSuffix(word);
    const context = {
      before,
      after,
      isLast: i === last,
      followsParticle: isParticle(words[i - 1]?.text ?? ''),
      isIntended: isWellWritten && text === letters.lower(text),
    };
    const lowers = i > first && isLowerCase(text, context, particleCase);
    return lowers ? letters.lower(text) : formatWord(text, letters, i === first);
  });
}

/** `II` may be a whole field; `Ii` is a Japanese family name. */
function isSuffix(word: Word | undefined, followsName: boolean): boolean {
  if (!word || !SUFFIXES.has(plainWord(word.text))) return false;
  return followsName ? /[ ,]$/u.test(word.before) : /^(?:\p{Ll}+|\p{Lu}+)$/u.test(word.text);
}

function formatSuffix({ text, letters }: Word): string {
  const suffix = plainWord(text);
  return GENERATIONS.has(suffix) ? suffix.toUpperCase() : formatWord(text, letters, true);
}

/** Correct, with a capital letter: so lower-case words beside it are intended. */
function isCapitalised({ text, letters }: Word, isFirstWord: boolean): boolean {
  return (
    /[\p{Lu}\p{Lt}]/u.test(text) && !canBeLowerCase(text) && formatWord(text, letters, isFirstWord) === text
  );
}

function isName(word: Word): boolean {
  return /\p{Letter}/u.test(word.text);
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
