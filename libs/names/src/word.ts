import type { Letters } from './letters.js';
import { isParticle } from './particles.js';

/**
 * A prefix after which a capital follows: an elided article, or `Mc`. Not `Mac`, which is ambiguous: Macy, Mackie. Uzbek
 * `O'tkir` and `O'g'iloy` have a letter `o'`.
 */
const PREFIX =
  /^(?:mc(?=\p{Script=Latin})|(?:o(?!['’ʼ`´](?:g['’ʼ`´]|kt|tk|lm|zb|tab|r[iıİ]n|ra[lz]|ro[lqz]))|[dlmn]|dell|dall|sant)['’ʼ`´])(?=\p{Cased_Letter})/iu;
const ARTICLE = /^(?:[dl]|dell|dall).$/u;

/**
 * The case shape of a correct word with inner capitals: at most three parts, each of a capital and small letters: McDonald,
 * DeVito, De'Andre, DeLaCruz; not SMith, jOHN, MaRiA. Before an apostrophe one letter is enough: K'Naan.
 */
const MIXED_CASE = /^U(?:(?:'?l)+|(?='U))(?:'?U(?:'?l)+){0,2}$/u;

/** Whoever writes `MacGREGOR` or `DeVITO` knows how the name is written. */
const SMALL_AMID_CAPITALS = /^(Mac|Fitz|De|Del|Della|Di|Du|La|Le|Mc|St|Van|Von|Ver)(\p{Lu}{3,})$/u;

/** Initials of Irish words keep their case before a mutation: `Ó hEithir`, `Mac an tSaoir`, `Ó bhFlaithearta`. */
const IRISH =
  /^(?:h(?=[AEIOUÁÉÍÓÚ])|t(?=[SAEIOUÁÉÍÓÚ])|n(?=[DGAEIOUÁÉÍÓÚ])|m(?=B)|g(?=C)|b(?=P)|d(?=T)|bh(?=F))\p{Lu}\p{Ll}+$/u;

/**
 * How a word may start: `inside` the field in small letters where its spelling wants it, at the start of a field `asWritten`
 * in small letters if that was meant (`d'Artagnan`), or always with a `capital`.
 */
export type WordStart = 'capital' | 'asWritten' | 'inside';

/** Corrects the capitals of one word. */
export function formatWord(word: string, letters: Letters, start: WordStart): string {
  const prefix = hasMaghrebiStart(word) ? undefined : PREFIX.exec(word)?.[0];
  if (prefix !== undefined) {
    const rest = word.slice(prefix.length);
    const article = keepsArticle(prefix, rest) && start !== 'capital' ? prefix : letters.capitalize(prefix);
    return article + formatStem(rest, letters, 'inside');
  }
  return formatStem(word, letters, start);
}

function formatStem(word: string, letters: Letters, start: WordStart): string {
  const titled = letters.title(word);
  // Both: with the Dutch start of two capitals a mixed-case word may be none (IjSbrand).
  if (isMixedCase(word, letters) && isMixedCase(titled, letters)) return titled;
  const [, prefix, capitals] = SMALL_AMID_CAPITALS.exec(word) ?? [];
  if (prefix && capitals) return prefix + letters.capitalize(capitals);
  if (startsWithParticle(word, letters)) return start === 'capital' ? titled : word;
  if (start === 'inside' && IRISH.test(word)) return word;
  return capitalize(word, letters);
}

/** `d'Estaing` is intended. */
function keepsArticle(article: string, rest: string): boolean {
  return ARTICLE.test(article) && /^[\p{Lu}\p{Lt}]/u.test(rest);
}

/** `M'hamed` and `N'diaye` are as right as `M'Bappé`. */
function hasMaghrebiStart(word: string): boolean {
  return /^[MN]['’ʼ`´]\p{Ll}+$/u.test(word);
}

function isMixedCase(word: string, letters: Letters): boolean {
  // Dutch starts IJsbrand with two capitals, also after a prefix: VanIJzeren.
  const shape = shapeOf(word.replaceAll(/IJ(?=\p{Ll})/gu, 'I'), letters);
  return MIXED_CASE.test(shape) && !hasWrongApostrophe(word);
}

/** A particle joined to the name: Neil deGrasse Tyson, Gerard t'Hooft, Gilbert a'Beckett, Zulu Dinuzulu kaCetshwayo. */
function startsWithParticle(word: string, letters: Letters): boolean {
  const start = /^\p{Ll}+['’ʼ]?(?=\p{Lu})/u.exec(word)?.[0] ?? '';
  return (
    (isParticle(start) || /^(?:[aдts]['’ʼ]|ka)$/u.test(start)) && isMixedCase(letters.title(word), letters)
  );
}

/** An apostrophe between two Cyrillic letters. */
const CYRILLIC_APOSTROPHE = /(?<=\p{Script=Cyrillic})(['’ʼ‘`´′])(?=\p{Script=Cyrillic})/u;
/** A foreign prefix: `О'Генри`, `Д'Артаньян`, `М'Баппе`. */
const CYRILLIC_PREFIX = /^[ОДЛМН]$/iu;

/**
 * What follows an apostrophe is decided by the letter after it: Ukrainian and Belarusian write one before я, ю, є, ї, Belarusian
 * also before е, ё, і (`В'ячеслав`, `Салаў'ёў`), where another part of a name never begins, except after a foreign prefix.
 */
function capitalize(word: string, letters: Letters): string {
  const [start = '', ...rest] = letters.capitalize(word).split(CYRILLIC_APOSTROPHE);
  const parts = rest.map((part, i) => (i % 2 > 0 && isNamePart(part, start) ? letters.title(part) : part));
  return [start, ...parts].join('');
}

function isNamePart(part: string, start: string): boolean {
  return !/^[яюєїё]/iu.test(part) && (!/^[еі]/iu.test(part) || /^[ОДЛ]$/iu.test(start));
}

/** Мар'Яна and В'Ячеслав come from programs that capitalise too much, О'генри from ones that capitalise too little. */
function hasWrongApostrophe(word: string): boolean {
  const [start = '', ...rest] = word.split(CYRILLIC_APOSTROPHE);
  return rest.some((part, i) => {
    if (i % 2 === 0) return false;
    if (/^\p{Lu}/u.test(part)) return !isNamePart(part, start);
    return CYRILLIC_PREFIX.test(start) && !/^[яюєїеёі]/u.test(part);
  });
}

/** Without quotes round the word. */
function shapeOf(word: string, letters: Letters): string {
  return letters.caseShape(word).replace(/^'+|'+$/gu, '');
}
