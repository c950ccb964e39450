import { formatAbbreviation, isAbbreviation, isExactDegree, isSuffix } from './abbreviations.js';
import type { Letters } from './letters.js';
import {
  canBeSmall,
  canOpenSmall,
  hasNoParticles,
  isElided,
  isHyphen,
  isLowerCase,
  isParticle,
  type ParticleCase,
} from './particles.js';
import { formatWord, type WordStart } from './word.js';

/** An old capital F: `ffrench`, `ffolkes`. The Welsh given names with this start have a capital. */
const DOUBLE_F = /^ff(?!ion|lur|raid|red)\p{Ll}{3,}$/u;

/** Between its neighbours: `v. Braun`, `Jan v.d. Berg`, `Dr. h.c. Meyer`, `Cranach d. Ä.`; in `j. Smith` and `Putin v.v.` it is a slip. */
const SMALL_INITIAL = /^\S* [vz] (?:d|\p{Letter}{2,}\S*)$|^[vzVZ] d |^\S* h c$|^\S* d [ÄJ]$|^[hH] c /u;

export interface NameOptions {
  /** Language code of the portal, in any case: `tr`, `nl-BE`. Turkish and Azerbaijani `i` and Dutch `ij` depend on it. */
  language?: string;
  /** Where nothing shows what was meant. The default is `lower`. */
  particles?: ParticleCase;
  /**
   * `asWritten`, the default: a field that is written with care may start with a small letter, as in `von der Leyen`.
   * `capital`: every field starts with a capital, `Von der Leyen`; only an elided article, `'t Hart`, has none.
   */
  firstWord?: 'asWritten' | 'capital';
}

/** What the other fields of the same contact show. */
export interface NameContext {
  /** Another one is written with care. */
  isBesideDeliberate: boolean;
  /** This is the second name, between a name and a last name that are both written with care. */
  isBetweenDeliberate: boolean;
}

export const ALONE: NameContext = { isBesideDeliberate: false, isBetweenDeliberate: false };

export interface Word {
  text: string;
  letters: Letters;
  /** Separators before and after it: spaces, hyphens, dots … */
  before: string;
  after: string;
}

/** The words of one field, with what they show together. */
export class Field {
  readonly hasDeliberateCase: boolean;
  private readonly first: number;
  private readonly last: number;
  /** Of `Jr`, `III` … at the end; -1 without one. */
  private readonly suffix: number;

  constructor(
    private readonly words: readonly Word[],
    private readonly options: NameOptions,
    private readonly context: NameContext,
  ) {
    this.first = words.findIndex(isName);
    const final = words.findLastIndex(isName);
    const closes = final > this.first && isClosing(words[final]);
    this.suffix = closes ? final : -1;
    this.last = words.findLastIndex((word, i) => isName(word) && i !== this.suffix);
    this.hasDeliberateCase = words.some((word, i) => this.isDeliberate(word, i));
  }

  format(): string[] {
    return this.words.map((word, i) => {
      const { text, letters } = word;
      if (isElided(text)) return letters.lower(text);
      const abbreviation = this.abbreviationAt(word, i);
      if (abbreviation !== undefined) return abbreviation;
      if (i === this.first && this.options.firstWord === 'capital')
        return formatWord(text, letters, 'capital');
      if (this.isMeant(word, i)) return text;
      if (i > this.first && this.isLowerCase(word, i)) return letters.lower(text);
      return formatWord(text, letters, this.startOf(i));
    });
  }

  /** A capital and small letters, as they should be. `Dr.` and `PhD` are no names, and written so by programs, too. */
  private isDeliberate({ text, letters, after }: Word, i: number): boolean {
    // `d'Z` becomes `D'Z`, which shows nothing.
    const isCapitalized = i === this.first && this.options.firstWord === 'capital';
    const written = isCapitalized ? formatWord(text, letters, 'capital') : text;
    if (!/[\p{Lu}\p{Lt}]/u.test(text) || !/\p{Ll}/u.test(written)) return false;
    if (after.startsWith('.') || isAbbreviation(text)) return false;
    // `hEt` is no Irish word: it becomes a particle.
    if (/^\p{Ll}/u.test(text) && isParticle(text)) return false;
    return formatWord(text, letters, i === this.first ? 'asWritten' : 'inside') === text;
  }

  private startOf(i: number): WordStart {
    if (i !== this.first) return 'inside';
    return this.hasDeliberateCase ? 'asWritten' : 'capital';
  }

  private isLowerCase({ text, before, after }: Word, i: number): boolean {
    const context = {
      before,
      after,
      next: this.words[i + 1]?.text ?? '',
      opening: this.words[this.first]?.text ?? '',
      isLast: i === this.last,
      followsParticle: isParticle(this.words[i - 1]?.text ?? ''),
    };
    return isLowerCase(text, context, this.options.particles ?? 'lower');
  }

  /** The right form of `III`, `PhD`, `Jr` …, where the word is one of these and nothing else. */
  private abbreviationAt(word: Word, i: number): string | undefined {
    return formatAbbreviation(word.text, {
      isFirst: i === this.first,
      isAlone: this.first === this.last && this.suffix < 0,
      isSuffix: i === this.suffix,
      followsComma: word.before.startsWith(','),
      mayBeName: hasNoParticles(this.words[this.first]?.text ?? ''),
      namesBefore: this.words.slice(0, i).filter(isName).length,
    });
  }

  /** Whether somebody who writes with care may have meant the word as it is. */
  private isMeant(word: Word, i: number): boolean {
    const { text, letters, after } = word;
    if (DOUBLE_F.test(text)) return true;
    const shape = letters.caseShape(text);
    const { isBesideDeliberate, isBetweenDeliberate } = this.context;
    if (!this.hasDeliberateCase) {
      if (isBetweenDeliberate && this.isOnlySmallParticles()) return true;
      if (!isBesideDeliberate) return false;
    }
    // `JJ`, `LL.M.`, `MUDr.`
    if (/^U{2,3}$/u.test(shape)) {
      if (i === this.first) return !isParticle(text);
      // `Пушкин АС`: no particle ends a field.
      return i === this.last || !canBeSmall(text);
    }
    if (/^U{2,3}l{1,2}$/u.test(shape) && after.startsWith('.')) return true;
    if (!this.hasDeliberateCase) return false;
    if (shape.startsWith('U')) return isExactDegree(text) || this.isWellFormed(i);
    return /^[l']+$/u.test(shape) && this.isMeantSmall(word, i);
  }

  /** `van der` as the second name. Where every field starts with a capital, this one does, too. */
  private isOnlySmallParticles(): boolean {
    if (this.options.firstWord === 'capital') return false;
    return this.words.every((word) => !isName(word) || (isSmall(word) && canBeSmall(word.text)));
  }

  private isMeantSmall({ text, before, after }: Word, i: number): boolean {
    const next = this.words[i + 1]?.text ?? '';
    if (this.isRussianAbbreviation(i)) return true;
    const letters = countLetters(text);
    // An abbreviation: `geb.`, `урожд.`, `v.d.`, `jr.`, and in some countries `dr.`
    if (after.startsWith('.')) return letters > 1 ? letters < 7 : this.isSmallInitial(i);
    if (i === this.first) return canOpenSmall(text, next);
    if (isHyphen(before) && this.isInDeliberateCompound(i)) return true;
    if (isHyphen(after)) return canBeSmall(text) || /^[thln]$/u.test(text);
    return canBeSmall(text) || this.isBetweenNames(i);
  }

  /** `д-р`, `г-жа`; `к.т.н.`, `д.ф.-м.н.` */
  private isRussianAbbreviation(i: number): boolean {
    const textAt = (at: number): string => this.words[at]?.text ?? '';
    const joined = (from: number): string => `${textAt(from)}${this.words[from]?.after}${textAt(from + 1)}`;
    if ([i - 1, i].some((from) => /^(?:д-р|г-(?:н|жа))$/u.test(joined(from)))) return true;
    for (let start = Math.max(0, i - 3); start < i + 1; start++) {
      const end = [start + 2, start + 3].find((at) => textAt(at) === 'н') ?? -1;
      if (end < i) continue;
      const letters = this.words.slice(start, end + 1).map(({ text }) => text);
      if (/^[кд] [а-я]{1,4}(?: [а-я]{1,4})? н$/u.test(letters.join(' '))) return true;
    }
    return false;
  }

  private isSmallInitial(i: number): boolean {
    const [previous = '', text = '', next = ''] = [i - 1, i, i + 1].map((at) => this.words[at]?.text);
    return SMALL_INITIAL.test(`${previous} ${text} ${next}`);
  }

  /** `Kim Min-seok`, `Ana-maria`: the first part of the compound has a capital where it should. */
  private isInDeliberateCompound(i: number): boolean {
    let head = i - 1;
    while (head > 0 && isHyphen(this.words[head]?.before ?? '') && !this.canBeHead(head)) head--;
    return this.isWellFormed(head);
  }

  /** An abbreviation does not count, however it is written: formatting would change the answer. */
  private canBeHead(i: number): boolean {
    const word = this.words[i];
    return word === undefined || !(isSmall(word) || isAbbreviation(word.text));
  }

  /** A small word is known by its position, between names that are written with care: `Mac an tSaoir`, `Иван и Мария`. */
  private isBetweenNames(i: number): boolean {
    let start = i;
    while (isShortSmall(this.words[start])) start--;
    let end = i;
    while (isShortSmall(this.words[end])) end++;
    return start < i && end > i && this.isWellFormed(start) && this.isWellFormed(end);
  }

  private isWellFormed(i: number): boolean {
    const word = this.words[i];
    if (!word || !/[\p{Lu}\p{Lt}]/u.test(word.text) || isAbbreviation(word.text)) return false;
    return formatWord(word.text, word.letters, i === this.first ? 'asWritten' : 'inside') === word.text;
  }
}

function isClosing(word: Word | undefined): boolean {
  return word !== undefined && /[ ,]$/u.test(word.before) && isSuffix(word.text);
}

function isName(word: Word): boolean {
  return /\p{Letter}/u.test(word.text);
}

function isSmall(word: Word | undefined): boolean {
  return word !== undefined && /\p{Ll}/u.test(word.text) && !/[\p{Lu}\p{Lt}]/u.test(word.text);
}

/** Up to three letters; a consonant alone is an initial. No abbreviation, which formatting may write in capitals. */
function isShortSmall(word: Word | undefined): boolean {
  if (!word || !isSmall(word) || isAbbreviation(word.text)) return false;
  return (
    canBeSmall(word.text) ||
    (countLetters(word.text) < 4 && !/^[b-df-hj-np-tvwxzб-джзй-нп-тф-щ]$/u.test(word.text))
  );
}

function countLetters(text: string): number {
  return text.match(/\p{Letter}/gu)?.length ?? 0;
}
