import { clean } from './clean.js';
import { lettersOf } from './languages.js';
import { type Letters, plainWord } from './letters.js';
import { isOftenSmall, isParticle, type ParticleCase, staysLower } from './particles.js';
import { formatWord } from './word.js';

/** A telephone number, an address, an e-mail: whatever it is, it is not a name. */
const NOT_A_NAME = /[\p{Number}@＠/／]/u;

/** What starts a new word. An apostrophe, a middle dot (`Gal·la`) and anything unknown (`M�ller`) stay inside it. */
const GAP = /([ \p{Dash_Punctuation}.,;:&+()[\]{}<>"«»„“”]+)/u;

const GENERATIONS = new Set(['ii', 'iii', 'iv']);
const SUFFIXES = new Set(['jr', 'sr', ...GENERATIONS]);

export interface NameOptions {
  /** Of the portal, whatever its case: `tr`, `nl-BE`; it decides Turkish and Azerbaijani `i`, and Dutch `ij`. */
  language?: string;
  /** `lower` unless given. */
  particles?: ParticleCase;
}

interface Word {
  text: string;
  letters: Letters;
  /** What stands before and after it: spaces, hyphens, dots … */
  before: string;
  after: string;
}

/**
 * A person's name as people write it: `o'neil` → `O'Neil`, `LUDWIG VAN BEETHOVEN` → `Ludwig van Beethoven`. Takes the
 * content of one field (name, second name or last name) and changes nothing in it but case, white space and invisible
 * characters. Formatting a formatted name changes nothing, which is what ends the loop of events that our own write causes.
 * What is not a name, and what would be empty, comes back as it is.
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
    const around = {
      before,
      after,
      isLast: i === last,
      followsParticle: isParticle(words[i - 1]?.text ?? ''),
      isMeant: isWellWritten && text === letters.lower(text),
    };
    const lowers = i > first && staysLower(text, around, particleCase);
    return lowers ? letters.lower(text) : formatWord(text, letters, i === first);
  });
}

/** `II` may be a field by itself; but `Ii` in small letters is a Japanese family. */
function isSuffix(word: Word | undefined, followsName: boolean): boolean {
  if (!word || !SUFFIXES.has(plainWord(word.text))) return false;
  return followsName ? /[ ,]$/u.test(word.before) : /^(?:\p{Ll}+|\p{Lu}+)$/u.test(word.text);
}

function formatSuffix({ text, letters }: Word): string {
  const suffix = plainWord(text);
  return GENERATIONS.has(suffix) ? suffix.toUpperCase() : formatWord(text, letters, true);
}

/** Written right and with a capital: then the small letters beside it were meant. */
function isCapitalised({ text, letters }: Word, opensField: boolean): boolean {
  return (
    /[\p{Lu}\p{Lt}]/u.test(text) && !isOftenSmall(text) && formatWord(text, letters, opensField) === text
  );
}

function isName(word: Word): boolean {
  return /\p{Letter}/u.test(word.text);
}

/** Words and gaps take turns in a split that captures its separators; the first and the last piece are words. */
function splitWords(text: string, language: string | undefined): Word[] {
  const pieces = text.split(GAP);
  return pieces.flatMap((piece, i) => {
    if (i % 2 > 0) return [];
    const letters = lettersOf(piece, language);
    return { text: letters.repair(piece), letters, before: pieces[i - 1] ?? '', after: pieces[i + 1] ?? '' };
  });
}

function joinWords(words: Word[], texts: string[]): string {
  return words.map((word, i) => word.before + texts[i]).join('');
}
