import { plainWord } from './letters.js';

/** Lower case inside a name. Without `le`, `lo`, `te`, `ben`, `san` and `mac`, which usually have a capital. */
const PARTICLES = words(`
  van der den dem de het ter ten tot aan op van't in't op't
  von vom zu zum zur und af av
  du des d' la las los del della dello delle dei degli de' dal dalla di da do das dos
  al el ul ibn bin bint binti ap and
  ван дер ден фон цу де да ди дю дель делла ла аль эль ибн бин и
`);

/** Elided articles: they have no first letter that could be a capital, not even at the start of a field. */
const ELIDED = words(`'t 's 'n`);

/** Patronymic and generational suffixes (`son of`, `junior`): lower case, also at the end of the field. */
const CLOSING = words(`
  оглы оглу кызы кизи гызы улы уулу ұлы қызы мл ст
  oğlu qızı ogly kyzy ogli qizi o'g'li
`);

/** `auf der Heide`, `uit den Boogaard`: lower case before an article; `Kim In Soo` and `Nguyễn Văn An` have none. */
const PREPOSITIONS = words('in an uit onder over voor bij auf aus unter');
const ARTICLES = words(`de den der dem het 't 's`);

/** Arabic articles that a hyphen joins to the name. Other words before a hyphen are names: `Kim Bin-woo`. */
const HYPHENATED = words('al el ul аль эль');
/** Before some letters the article ends with the letter that follows: `ar-Rashid`, `ash-Shaykh`, `ur-Rehman`. */
const ASSIMILATED = /^[aeu](sh|[dnrstz])-\1\p{Letter}{3}|^[аэу]([дзрстшн])-\2\p{Letter}{3}/u;

/**
 * In a field that starts with one of these family names a syllable such as `van`, `da` or `bin` is a given name. Without
 * those that are given names elsewhere (`Lee`, `Le`, `Do`).
 */
const WITHOUT_PARTICLES = words(`
  nguyen nguyễn tran trần pham phạm hoang hoàng huynh huỳnh phan dang đặng bui bùi ngo ngô duong dương truong trương dinh đinh
  zhang wang huang zhao zhou chen xu zhu guo liu yang lin
  kim park choi jung jeong kang yoon
  нгуен чан фам хоанг чжан ким пак цой
`);

/**
 * What a person who writes with care may leave in lower case at any position, beside the words above: particles that we would
 * not lower ourselves, and words between names that are longer than others (`geborene`, `урождённая`).
 */
const MEANT_SMALL = words(`
  te toe thoe tho am im zer zen ob ab vor uf til fan við á í
  le les lo li il à a au aux en et sur e y i dels des sa sans dalle dallo detto detta fu
  ya ar as ash at ad an az es ed er ur us ud uz un ha ben bar bat abu abou umm ould wuld mint ibni
  ó mac nic ferch verch of the
  wa ole arap ag aït dela delos delas ng
  i z ze w vel herbu cel din lui
  née nee né geborene geboren genannt genaamd verwitwete dit dite nacida viuda rozená rodená született född fødd født formerly alias
  junior senior jr sr jun sen fils père hijo padre mladší starší ml st nuorempi vanhempi
  ас аш ад ар ат ан аз эд эр бен бинт и й і та тер ле дер дю ди дос душ дас тен ал уль заде младший старший
  dr mgr inż gróf báró vitéz του της των
  урождённая урожденная вдова
`);

/** The position of a word in its field. */
interface WordContext {
  /** Separators between this word and its neighbours. */
  before: string;
  after: string;
  /** The word that follows; empty if none does. */
  next: string;
  /** The first word of the field. */
  opening: string;
  /** The last word, not counting `Jr` or `III`. */
  isLast: boolean;
  followsParticle: boolean;
}

/** The custom of a country for particles: `Ludwig van Beethoven`; American and Belgian `Robert De Niro`, `Herman Van Rompuy`. */
export type ParticleCase = 'lower' | 'capital';

/** Whether this word, which is not the field's first, is written in lower case where nothing shows what was meant. */
export function isLowerCase(word: string, context: WordContext, particleCase: ParticleCase): boolean {
  const particle = plainWord(word);
  const { before, after } = context;
  if (!isNameSeparator(before)) return false;
  if (CLOSING.has(particle)) return true;
  if (particleCase === 'capital') return false;
  const next = plainWord(context.next);
  if (isHyphen(after) && ASSIMILATED.test(`${particle}-${next}`)) return before === ' ';
  if (PREPOSITIONS.has(particle)) return ARTICLES.has(next) && after === ' ';
  if (!PARTICLES.has(particle) || hasNoParticles(context.opening)) return false;
  // At the end of a field it is a name (`Wang Bin`, `Thi Van`), unless the name continues in the next field.
  if (context.isLast) return context.followsParticle;
  if (before === ' ' && after !== ' ') return isHyphen(after) && HYPHENATED.has(particle);
  return isHyphen(after) || /^,? $/u.test(after);
}

/** Whether a person who writes with care may start a field with this word in lower case. */
export function canOpenSmall(word: string, next: string): boolean {
  const small = plainWord(word);
  if (PREPOSITIONS.has(small)) return !/^[ai]n$/u.test(small) || ARTICLES.has(plainWord(next));
  return PARTICLES.has(small) || MEANT_SMALL.has(small);
}

/** Whether this word may be in lower case beside names that are written with care. */
export function canBeSmall(word: string): boolean {
  const small = plainWord(word);
  return [PARTICLES, CLOSING, PREPOSITIONS, MEANT_SMALL].some((list) => list.has(small));
}

/** Whether the field starts with a family name of East Asia. */
export function hasNoParticles(opening: string): boolean {
  return WITHOUT_PARTICLES.has(plainWord(opening));
}

export function isElided(word: string): boolean {
  return ELIDED.has(plainWord(word));
}

export function isParticle(word: string): boolean {
  return PARTICLES.has(plainWord(word)) || isElided(word);
}

export function isHyphen(gap: string): boolean {
  return /^\p{Dash_Punctuation}$/u.test(gap);
}

/** A name goes on after it: not in brackets or quotes, where another one begins. */
function isNameSeparator(gap: string): boolean {
  return isHyphen(gap) || /^(?:[.)\]}"»”] |[,.]? |[.,)]? \p{Dash_Punctuation} )$/u.test(gap);
}

export function words(list: string): Set<string> {
  return new Set(list.trim().split(/\s+/u));
}
