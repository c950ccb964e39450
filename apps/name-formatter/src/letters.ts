/** All case mapping of this app. What single languages do otherwise is in `languages.ts`. */

/** Georgian writes names without capitals; Cherokee writes everything in what Unicode calls capitals. */
const CASED = /(?![\p{Script=Georgian}\p{Script=Cherokee}])\p{Cased_Letter}/u;
const LETTERS_TO_LOWER = /[^\p{Script=Georgian}\p{Script=Cherokee}]+/gu;

/** Two letters in one character have a third form, for the start of a word: `ǅevad`, not `ǄEVAD`. */
const DIGRAPHS = ['Ǆǅǆ', 'Ǉǈǉ', 'Ǌǋǌ', 'Ǳǲǳ'];

/** What a language does otherwise than Unicode does for all. */
export interface Spelling {
  /** Capital letters with their small ones, and small letters with their capital ones. */
  small?: ReadonlyMap<string, string>;
  capital?: ReadonlyMap<string, string>;
  /** Letters that start a word as one, both with a capital. */
  start?: RegExp;
  /** Takes back what a program did that did not know the language. */
  repair?: (word: string) => string;
}

/** The letters of one word, in its language: how they change their case. */
export class Letters {
  constructor(private readonly spelling: Spelling = {}) {}

  repair(word: string): string {
    return this.spelling.repair?.(word) ?? word;
  }

  /**
   * The word in lower case. `İ` becomes a plain `i`, not `i` and a combining dot, so the length in UTF-16 units stays the
   * same. Takes whole words: the last sigma of one is `ς`.
   */
  lower(word: string): string {
    const { small } = this.spelling;
    const own = small ? Array.from(word, (letter) => small.get(letter) ?? letter).join('') : word;
    return own.replace(LETTERS_TO_LOWER, (letters) => letters.replaceAll('İ', 'i').toLowerCase());
  }

  /** The first letter that has case in title case, all else as it is. */
  title(word: string): string {
    const end = this.endOfFirst(word);
    const start = Array.from(word.slice(0, end), (letter) => this.titleLetter(letter));
    return start.join('') + word.slice(end);
  }

  /** `jOHN` → `John`. The first letter keeps what is not case: `İSMAİL` → `İsmail`, though `İ` elsewhere becomes `i`. */
  capitalize(word: string): string {
    const end = this.endOfFirst(word);
    return this.title(word.slice(0, end)) + this.lower(word).slice(end);
  }

  /**
   * The word as a pattern of its case: `McDonald` → `UlUlllll`, `м'я` → `l'l`. Left out are letters without case and those
   * that have no capital in common use (`ß`): `GROßMANN` is written all upper.
   */
  caseShape(word: string): string {
    return Array.from(word, (letter) => this.caseOf(letter)).join('');
  }

  private endOfFirst(word: string): number {
    const first = CASED.exec(word);
    if (!first) return 0;
    const asOne = this.spelling.start?.exec(word.slice(first.index));
    return first.index + (asOne ?? first)[0].length;
  }

  private caseOf(character: string): string {
    if (isApostrophe(character)) return "'";
    if (!CASED.test(character)) return '';
    if (/[\p{Lu}\p{Lt}]/u.test(character)) return 'U';
    return this.titleLetter(character) === character ? '' : 'l';
  }

  /** Where upper case is more than one letter (`ß` → `SS`, `ŉ`, `ﬁ`, `և`) a name is better left alone. */
  private titleLetter(letter: string): string {
    if (!CASED.test(letter)) return letter;
    const digraph = DIGRAPHS.find((forms) => forms.includes(letter));
    if (digraph !== undefined) return digraph.charAt(1);
    // Apart from its marks, so that `ᾳ` becomes `ᾼ` (not `ΑΙ`) and `ǰ` becomes `J̌`.
    const [base = letter, ...marks] = Array.from(letter.normalize('NFD'));
    const upper = (marks.length === 0 && this.spelling.capital?.get(base)) || base.toUpperCase();
    return isOneCharacter(upper) ? [upper, ...marks].join('').normalize('NFC') : letter;
  }
}

/** Of no language in particular. */
export const plainLetters = new Letters();

/**
 * The word as lists of words hold it: lower, with plain apostrophes. By way of capitals, so that it is the same before and
 * after formatting, in any language: `ı` and `ſ` have the capitals of `i` and `s`.
 */
export function plainWord(word: string): string {
  const small = plainLetters.lower(word.toUpperCase().normalize('NFC'));
  return Array.from(small, (character) => (isApostrophe(character) ? "'" : character)).join('');
}

/** Modifier letters too: Ukrainian is often typed with U+02BC, Hawaiian and Uzbek with U+02BB. */
function isApostrophe(character: string): boolean {
  return "'’‘ʼʻ`´′＇".includes(character);
}

function isOneCharacter(text: string): boolean {
  return /^.$/su.test(text);
}
