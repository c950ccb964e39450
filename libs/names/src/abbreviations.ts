import { plainWord } from './letters.js';
import { words } from './particles.js';

/** Legal forms in any case; no name is spelt so. */
const LEGAL_FORM = alone(`
  gmbh mbh ggmbh kgaa ohg gbr llc llp ltd ltda inc corp plc pty pvt sdn bhd sarl eurl srl zrt nyrt kft oyj uab eireli
  ооо оао зао пао нао тоо осоо еоод оод чуп прат фоп мчж
`);
/** As they are, since in other letters names and initials look so: `Ип Ман`, `IVANOV A.S.` */
const EXACT_FORM = new RegExp(
  [
    String.raw`(?<![\p{L}.])(?:S\.p\.A|S\.r\.l|s\.r\.o|d\.o\.o|z o\.o|e\.V|e\.K|a\.s|ApS|OÜ|SpA)(?![\p{L}])`,
    String.raw`[\p{L}»”"] (?:AG|KG|BV|NV|SA|SL|AB|OY)$`,
    String.raw`^(?:ИП|АО|ЧП|ПП|АТ|ЕТ|УП|ТОВ|ТДВ|ГУП|МУП|ФГУП)(?!\p{L})`,
    String.raw`\p{L} (?:АД|ИП|ЧП)$`,
  ].join('|'),
  'u',
);

/** Academic titles in small and capital letters. */
const MIXED_DEGREES = new Map(
  [
    'PhD',
    'MSc',
    'BSc',
    'CSc',
    'DrSc',
    'MUDr',
    'MVDr',
    'MDDr',
    'JUDr',
    'PhDr',
    'RNDr',
    'ThDr',
    'PaedDr',
    'PharmDr',
  ].map((title) => [title.toLowerCase(), title]),
);
/** In capitals. Without those that are names, as in `Yo-Yo MA`; some of these are names in small letters: `Léon Mba`. */
const CAPITAL_DEGREES = words('mba md dds dvm dmd cpa cfa llm llb mbbs bba');

/** Kept where they are written so; in other letters some are names: `Edd`, `Beng`. */
const EXACT_DEGREES = new Set(
  'BEng MEng DPhil MPhil DSc EdD PsyD PharmD BEd MEd FRCS FRCP MRCP FCCA ACCA'.split(' '),
);

const ROMAN = /^(?=[ivx]{2,6}$)x{0,2}(?:ix|iv|v?i{0,3})$/u;
/** Names too: Chinese Xi, Vietnamese Vi. */
const NAMES_LIKE_NUMERALS = words('vi xi ix xv xx');

/** Where an abbreviation stands. */
interface AbbreviationPlace {
  isFirst: boolean;
  /** The only word of the field. */
  isAlone: boolean;
  /** It closes the field, after a name. */
  isSuffix: boolean;
  followsComma: boolean;
  /** Beside an East Asian family name `XI` is a given name. */
  mayBeName: boolean;
  /** Names before it in the field. */
  namesBefore: number;
}

/** A legal form means a company, whose name is written as its owner likes. */
export function isCompany(field: string): boolean {
  return LEGAL_FORM.test(field) || EXACT_FORM.test(field);
}

/** `III`, `PhD`, `Jr`: programs write them, too, so they do not show that a person cares for capitals. */
export function isAbbreviation(word: string): boolean {
  const plain = plainWord(word);
  return isSuffix(word) || MIXED_DEGREES.has(plain);
}

export function isExactDegree(word: string): boolean {
  return EXACT_DEGREES.has(word);
}

/** `Jr`, `III`, `MBA`: what may follow a whole name. */
export function isSuffix(word: string): boolean {
  const plain = plainWord(word);
  return plain === 'jr' || plain === 'sr' || ROMAN.test(plain) || CAPITAL_DEGREES.has(plain);
}

/** The right form of a numeral or an academic title; undefined if the word may as well be a name. */
export function formatAbbreviation(word: string, place: AbbreviationPlace): string | undefined {
  const plain = plainWord(word);
  if (ROMAN.test(plain)) return isNumeral(word, plain, place) ? plain.toUpperCase() : undefined;
  const degree = MIXED_DEGREES.get(plain);
  if (degree !== undefined)
    return word === degree || !place.isFirst || plain.endsWith('dr') ? degree : undefined;
  return CAPITAL_DEGREES.has(plain) && isDegree(word, place) ? plain.toUpperCase() : undefined;
}

/** `Ii` is a Japanese family name, `Iv` a Khmer one: after a whole name they are numerals that a program has damaged. */
function isNumeral(word: string, plain: string, place: AbbreviationPlace): boolean {
  const { isFirst, isAlone, mayBeName, namesBefore } = place;
  const isName = NAMES_LIKE_NUMERALS.has(plain);
  if (isCapital(word)) return isAlone || mayBeName ? !isName : !isFirst;
  if (isName) return false;
  if (plain.length > 2 && !isFirst) return true;
  return isSmall(word) ? place.isSuffix || isAlone : place.isSuffix && namesBefore > 1;
}

function isDegree(word: string, { isFirst, isAlone, followsComma, namesBefore }: AbbreviationPlace): boolean {
  if (isCapital(word)) return isAlone || !isFirst;
  return isSmall(word) && !isFirst && (followsComma || namesBefore > 1);
}

function isCapital(word: string): boolean {
  return /^\p{Lu}+$/u.test(word);
}

function isSmall(word: string): boolean {
  return /^\p{Ll}+$/u.test(word);
}

function alone(list: string): RegExp {
  return new RegExp(
    String.raw`(?<![\p{L}\p{M}'’.-])(?:${[...words(list)].join('|')})(?![\p{L}\p{M}'’-])`,
    'iu',
  );
}
