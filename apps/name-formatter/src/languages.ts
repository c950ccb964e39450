import { Letters, plainLetters } from './letters.js';

/**
 * Turkish and Azerbaijani have two letters: `ı` with the capital `I`, and `i` with the capital `İ`. A program that knows
 * only one makes `i` and a combining dot of `İ`, or of the dotless one.
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
 * Dutch starts `IJsbrand` with two capitals. There a consonant follows; the names with a vowel (`Ijeoma`, `Ijäs`) come from
 * elsewhere. `ı` and `İ` count as `i`, which is what formatting can make of them: the second time finds what the first did.
 */
const dutch = new Letters({ start: /^[iı]j(?![aeiouyıİ\u00C0-\u00FF])/iu });

/**
 * The letters of a word at a portal of that language. Bitrix24's own codes include `tr`; `az` and `nl` are those of
 * on-premise portals and of settings (api-reference/crm/data-types.md, language identifiers). A language without rules
 * of its own, one that is unknown, and none are the same. A word with a letter that the language does not have is a
 * foreign one: `WILSON` at a Turkish portal becomes `Wilson`.
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
