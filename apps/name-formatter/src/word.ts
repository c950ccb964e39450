import type { Letters } from './letters.js';
import { isParticle } from './particles.js';

/** A prefix after which a capital follows: an elided article, or `Mc`. Not `Mac`, which is ambiguous: Macy, Mackie. */
const PREFIX = /^(?:mc(?=\p{Script=Latin})|(?:[odlmn]|dell|dall|sant)['’ʼ`´])(?=\p{Cased_Letter})/iu;
const FRENCH_ARTICLE = /^(?:[dl]|dell|dall).$/u;

/**
 * The case shape of a correct word with inner capitals: at most three parts, each of a capital and small letters: McDonald,
 * DeVito, De'Andre, DeLaCruz; not SMith, jOHN, MaRiA. Before an apostrophe one letter is enough: K'Naan.
 */
const MIXED_CASE = /^U(?:(?:'?l)+|(?='U))(?:'?U(?:'?l)+){0,2}$/u;

/**
 * Corrects the capitals of one word.
 * @param isFirstWord the field's first word, which always starts with a capital
 */
export function formatWord(word: string, letters: Letters, isFirstWord: boolean): string {
  const prefix = PREFIX.exec(word)?.[0];
  if (prefix !== undefined) {
    const rest = word.slice(prefix.length);
    const article = keepsArticle(prefix, rest) && !isFirstWord ? prefix : letters.capitalize(prefix);
    return article + formatStem(rest, letters, true);
  }
  return formatStem(word, letters, isFirstWord);
}

function formatStem(word: string, letters: Letters, isFirstWord: boolean): string {
  const titled = letters.title(word);
  // Both: with the Dutch start of two capitals a mixed-case word may be none (IjSbrand).
  if (isMixedCase(word, letters) && isMixedCase(titled, letters)) return titled;
  const particle = startsWithParticle(word, letters);
  if (isFirstWord) return particle ? titled : letters.capitalize(word);
  return particle || isIrish(word) ? word : letters.capitalize(word);
}

/** `Giscard d'Estaing` is intended. */
function keepsArticle(article: string, rest: string): boolean {
  return FRENCH_ARTICLE.test(article) && /^[\p{Lu}\p{Lt}]/u.test(rest);
}

function isMixedCase(word: string, letters: Letters): boolean {
  // Dutch starts IJsbrand with two capitals.
  const shape = shapeOf(word, letters).replace(/^UU(?=l)/u, word.startsWith('IJ') ? 'U' : '$&');
  return MIXED_CASE.test(shape) && !hasCyrillicCapitalAfterApostrophe(word);
}

/** `Ó hEithir`, inside a name. */
function isIrish(word: string): boolean {
  return /^h[AEIOUÁÉÍÓÚ]\p{Ll}+$/u.test(word);
}

/** A particle joined to the name: Neil deGrasse Tyson. */
function startsWithParticle(word: string, letters: Letters): boolean {
  const start = /^\p{Ll}+['’ʼ]?(?=\p{Lu})/u.exec(word)?.[0] ?? '';
  return (isParticle(start) || /^д.$/u.test(start)) && isMixedCase(letters.title(word), letters);
}

/** Мар'Яна and В'Ячеслав come from programs that capitalise too much; О'Генри and Д'Артаньян are correct. */
function hasCyrillicCapitalAfterApostrophe(word: string): boolean {
  return /(?<=\p{Script=Cyrillic})['’ʼ‘`´′](?=\p{Lu})/u.test(word) && !/^[ОД]['’ʼ‘`´′]/u.test(word);
}

/** Without quotes round the word. */
function shapeOf(word: string, letters: Letters): string {
  return letters.caseShape(word).replace(/^'+|'+$/gu, '');
}
