/** Georgian has no capitals in names; all Cherokee letters are capitals in Unicode. */
const CASED = /(?![\p{Script=Georgian}\p{Script=Cherokee}])\p{Cased_Letter}/u;
const LETTERS_TO_LOWER = /[^\p{Script=Georgian}\p{Script=Cherokee}]+/gu;

/** Characters of two letters have a third form, for the start of a word: `ǅevad`, not `ǄEVAD`. */
const DIGRAPHS = ['Ǆǅǆ', 'Ǉǈǉ', 'Ǌǋǌ', 'Ǳǲǳ'];

/** Modifier letters too: Ukrainian is often typed with U+02BC, Hawaiian and Uzbek with U+02BB. */
const APOSTROPHE = /['’‘ʼʻ`´′＇]/u;
const APOSTROPHES = new RegExp(APOSTROPHE, 'gu');

/** Characters whose case is remembered. */
const MAX_CHARACTERS = 2_000;
/** Most names; Unicode's properties need not be looked up for them. */
const ASCII = /^[\x20-\x7E]*$/;
const ASCII_LETTER = /[A-Za-z]/;

/** Case mapping of a language where it differs from Unicode's default. */
interface Spelling {
  /** From capital to small letters, and from small to capital letters. */
  small?: ReadonlyMap<string, string>;
  capital?: ReadonlyMap<string, string>;
  /** Two letters that both have a capital at the start of a word. */
  start?: RegExp;
  /** Repairs letters that programs without support for the language have written. */
  repair?: (word: string) => string;
}

/** The case mapping for a word in its language. */
export class Letters {
  /** By character; those of names are few, and a hostile text fills it no further. */
  private readonly cases = new Map<string, string>();

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
    if (!small && ASCII.test(word)) return word.toLowerCase();
    const own = small ? Array.from(word, (letter) => small.get(letter) ?? letter).join('') : word;
    return own.replace(LETTERS_TO_LOWER, (letters) => letters.replaceAll('İ', 'i').toLowerCase());
  }

  /** Only the first cased letter changes, to title case. */
  title(word: string): string {
    const { capital, start: ownStart } = this.spelling;
    if (!capital && !ownStart && ASCII.test(word))
      return word.replace(ASCII_LETTER, (letter) => letter.toUpperCase());
    const end = this.endOfFirst(word);
    const start = Array.from(word.slice(0, end), (letter) => this.titleLetter(letter));
    return start.join('') + word.slice(end);
  }

  /** `jOHN` → `John`. The first letter keeps its dot: `İSMAİL` → `İsmail`, though `İ` elsewhere becomes `i`. */
  capitalize(word: string): string {
    const end = this.endOfFirst(word);
    return this.title(word.slice(0, end)) + this.lower(word).slice(end);
  }

  /**
   * The case pattern of the word: `McDonald` → `UlUlllll`, `м'я` → `l'l`. Without letters that have no case or no common
   * capital (`ß`): `GROßMANN` counts as upper case.
   */
  caseShape(word: string): string {
    let shape = '';
    for (const character of word) shape += this.cases.get(character) ?? this.learnCase(character);
    return shape;
  }

  private learnCase(character: string): string {
    const found = this.caseOf(character);
    if (this.cases.size < MAX_CHARACTERS) this.cases.set(character, found);
    return found;
  }

  private endOfFirst(word: string): number {
    const first = CASED.exec(word);
    if (!first) return 0;
    const asOne = this.spelling.start?.exec(word.slice(first.index));
    return first.index + (asOne ?? first)[0].length;
  }

  private caseOf(character: string): string {
    if (APOSTROPHE.test(character)) return "'";
    if (!CASED.test(character)) return '';
    if (/[\p{Lu}\p{Lt}]/u.test(character)) return 'U';
    return this.titleLetter(character) === character ? '' : 'l';
  }

  /** A letter whose upper case has several characters (`ß` → `SS`, `ŉ`, `ﬁ`, `և`) stays. */
  private titleLetter(letter: string): string {
    if (letter <= 'z' && !this.spelling.capital) return letter.toUpperCase();
    if (!CASED.test(letter)) return letter;
    const digraph = DIGRAPHS.find((forms) => forms.includes(letter));
    if (digraph !== undefined) return digraph.charAt(1);
    // Without its marks, so that `ᾳ` becomes `ᾼ` (not `ΑΙ`) and `ǰ` becomes `J̌`.
    const [base = letter, ...marks] = Array.from(letter.normalize('NFD'));
    const upper = (marks.length === 0 && this.spelling.capital?.get(base)) || base.toUpperCase();
    return isOneCharacter(upper) ? [upper, ...marks].join('').normalize('NFC') : letter;
  }
}

/** Unicode's default. */
const plainLetters = new Letters();

/**
 * Turkish and Azerbaijani have two letters: `ı` with the capital `I`, and `i` with the capital `İ`. Programs without
 * support for both convert `İ`, or the dotless letter, to `i` and a combining dot.
 */
const dottedAndDotless = new Letters({
  small: new Map([
    ['I', 'ı'],
    ['İ', 'i'],
  ]),
  capital: new Map([['i', 'İ']]),
  repair: (word) =>
    word
      .replace(/[iı]\u0307+/gu, 'i')
      .replace(/İ\u0307+/gu, 'İ')
      .normalize('NFC'),
});

/**
 * Dutch `IJsbrand` starts with two capitals. A consonant follows; names with a vowel there (`Ijeoma`, `Ijäs`) are not Dutch.
 * `ı` and `İ` count as `i`, since formatting can convert them to it, and must be idempotent.
 */
const dutch = new Letters({ start: /^[iı]j(?![aeiouyıİ\u00C0-\u00FF])/iu });

/**
 * The case mapping for a word at a portal of that language. Bitrix24's own codes include `tr`; `az` and `nl` are those of
 * on-premise portals and of settings (api-reference/crm/data-types.md, language identifiers). The default is for a
 * language without rules of its own, an unknown one, and none. A word with a letter that the language does not have is
 * foreign: `WILSON` at a Turkish portal becomes `Wilson`.
 */
export function lettersOf(word: string, language = ''): Letters {
  switch (/^[a-z]+/iu.exec(language)?.[0].toLowerCase()) {
    case 'tr':
      return /[qwx]/iu.test(word) ? plainLetters : dottedAndDotless;
    case 'az':
      return /w/iu.test(word) ? plainLetters : dottedAndDotless;
    case 'nl':
      return dutch;
    default:
      return plainLetters;
  }
}

/**
 * Normalises a word for lookups in word lists: lower case, plain apostrophes. It converts to capitals first, so that the
 * result is the same before and after formatting, in any language: `ı` and `ſ` have the capitals of `i` and `s`.
 */
export function plainWord(word: string): string {
  if (ASCII.test(word)) return word.toLowerCase().replaceAll('`', "'");
  const small = plainLetters.lower(word.toUpperCase().normalize('NFC'));
  return small.replace(APOSTROPHES, "'");
}

function isOneCharacter(text: string): boolean {
  return /^.$/su.test(text);
}
