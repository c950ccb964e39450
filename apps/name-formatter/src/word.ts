import type { Letters } from './letters.js';
import { isParticle } from './particles.js';

/** What a new word starts after, inside a word: an elided article, or `Mc`. There is no guess for `Mac`: Macy, Mackie. */
const OPENING = /^(?:mc(?=\p{Script=Latin})|(?:[odlmn]|dell|dall|sant)['’ʼ`´])(?=\p{Cased_Letter})/iu;
const FRENCH_ARTICLE = /^(?:[dl]|dell|dall).$/u;

/**
 * Three humps at most, each a capital and small letters: McDonald, DeVito, De'Andre, DeLaCruz; not SMith, jOHN, MaRiA.
 * One letter is enough before an apostrophe: K'Naan.
 */
const HUMPS = /^U(?:(?:'?l)+|(?='U))(?:'?U(?:'?l)+){0,2}$/u;

/**
 * One word with its capitals right.
 * @param opensField the field's first word, which always starts with a capital
 */
export function formatWord(word: string, letters: Letters, opensField: boolean): string {
  const opening = OPENING.exec(word)?.[0];
  if (opening !== undefined) {
    const rest = word.slice(opening.length);
    const article = keepsArticle(opening, rest) && !opensField ? opening : letters.capitalize(opening);
    return article + formatStem(rest, letters, true);
  }
  return formatStem(word, letters, opensField);
}

function formatStem(word: string, letters: Letters, opensField: boolean): string {
  const titled = letters.title(word);
  // Both, for what looks like humps may not when it starts as Dutch does: IjSbrand.
  if (isProper(word, letters) && isProper(titled, letters)) return titled;
  const particle = startsWithParticle(word, letters);
  if (opensField) return particle ? titled : letters.capitalize(word);
  return particle || isIrish(word) ? word : letters.capitalize(word);
}

/** Somebody who wrote `Giscard d'Estaing` knew how. */
function keepsArticle(article: string, rest: string): boolean {
  return FRENCH_ARTICLE.test(article) && /^[\p{Lu}\p{Lt}]/u.test(rest);
}

function isProper(word: string, letters: Letters): boolean {
  // Dutch starts IJsbrand with two capitals.
  const shape = shapeOf(word, letters).replace(/^UU(?=l)/u, word.startsWith('IJ') ? 'U' : '$&');
  return HUMPS.test(shape) && !hasCyrillicCapitalAfterApostrophe(word);
}

/** `Ó hEithir`, inside a name. */
function isIrish(word: string): boolean {
  return /^h[AEIOUÁÉÍÓÚ]\p{Ll}+$/u.test(word);
}

/** Neil deGrasse Tyson: a particle written in one with the name. */
function startsWithParticle(word: string, letters: Letters): boolean {
  const start = /^\p{Ll}+['’ʼ]?(?=\p{Lu})/u.exec(word)?.[0] ?? '';
  return (isParticle(start) || /^д.$/u.test(start)) && isProper(letters.title(word), letters);
}

/** Мар'Яна and В'Ячеслав are what a program made that capitalised too much; О'Генри and Д'Артаньян are right. */
function hasCyrillicCapitalAfterApostrophe(word: string): boolean {
  return /(?<=\p{Script=Cyrillic})['’ʼ‘`´′](?=\p{Lu})/u.test(word) && !/^[ОД]['’ʼ‘`´′]/u.test(word);
}

/** Without quotes round the word. */
function shapeOf(word: string, letters: Letters): string {
  return letters.caseShape(word).replace(/^'+|'+$/gu, '');
}
