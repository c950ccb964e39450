/** Names as people type them, and as they write them. A case of `libs/names/test/format-name.cases.ts` each, or close to one. */

/** @typedef {{ name: string, secondName?: string, lastName: string }} PersonName */
/** @typedef {{ language: string, before: PersonName, after: PersonName }} OddName */

/** @type {readonly OddName[]} */
export const tenContacts = [
  odd('English', ['jOHN', "o'NEIL"], ['John', "O'Neil"]),
  odd('French', ['éLODIE', 'DE LA FONTAINE'], ['Élodie', 'De la Fontaine']),
  odd('German', ['JÖRG-uwe', 'sTRÄSSER'], ['Jörg-Uwe', 'Strässer']),
  odd('Spanish', ['maría DEL CARMEN', 'gARCÍA lÓPEZ'], ['María del Carmen', 'García López']),
  odd('Polish', ['łUKASZ', 'DĄBROWSKI-wójcik'], ['Łukasz', 'Dąbrowski-Wójcik']),
  odd('Ukrainian', ['в’ячеслав', 'ІВАНОВИЧ', 'коваль-БОНДАР'], ['В’ячеслав', 'Іванович', 'Коваль-Бондар']),
  odd('Greek', ['ΓΙΏΡΓΟΣ', 'παπαδόπουλος'], ['Γιώργος', 'Παπαδόπουλος']),
  odd('Armenian', ['ՀԱՅԿ', 'պետրոսյան'], ['Հայկ', 'Պետրոսյան']),
  odd('Vietnamese', ['nGUYỄN', 'thị hOA'], ['Nguyễn', 'Thị Hoa']),
  odd('Scottish', ['  ISLA ', 'mCDONALD'], ['Isla', 'McDonald']),
];

/** Dealt out among the contacts of the mass update. @type {readonly OddName[]} */
export const massNames = [
  odd('', ['ada', 'LOVELACE'], ['Ada', 'Lovelace']),
  odd('', ['grace', 'hOPPER'], ['Grace', 'Hopper']),
  odd('', ['ALAN', 'turing'], ['Alan', 'Turing']),
  odd('', ['josé', 'MARTÍNEZ'], ['José', 'Martínez']),
  odd('', ['ÅSE', 'øDEGÅRD'], ['Åse', 'Ødegård']),
  odd('', ['anna-maria', 'SZENT-györgyi'], ['Anna-Maria', 'Szent-Györgyi']),
  odd('', ['ПЁТР', 'римский-КОРСАКОВ'], ['Пётр', 'Римский-Корсаков']),
  odd('', ['мар’яна', 'ґОНТА'], ['Мар’яна', 'Ґонта']),
  odd('', ['ΝΊΚΟΣ', 'παπάς'], ['Νίκος', 'Παπάς']),
  odd('', ['ŠARŪNAS', 'kazlauskas'], ['Šarūnas', 'Kazlauskas']),
];

/** @param {string} language @param {string[]} before @param {string[]} after @returns {OddName} */
function odd(language, before, after) {
  return { language, before: person(before), after: person(after) };
}

/** @param {string[]} parts two, or three with a second name in the middle @returns {PersonName} */
function person(parts) {
  const [name = '', middle = ''] = parts;
  const lastName = parts.at(-1) ?? '';
  return parts.length > 2 ? { name, secondName: middle, lastName } : { name, lastName };
}

/** @param {PersonName} person */
export function fullName({ name, secondName, lastName }) {
  return [name, secondName, lastName].filter(Boolean).join(' ').trim();
}

/** @param {Partial<PersonName>} found @param {PersonName} wanted */
export function isNamed(found, { name, secondName = '', lastName }) {
  return found.name === name && (found.secondName ?? '') === secondName && found.lastName === lastName;
}
