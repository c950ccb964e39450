import { plainWord } from './letters.js';

/** Lower case inside a name. Without `le`, `lo`, `te`, `ben`, `san` and `mac`, which usually have a capital. */
const PARTICLES = words(`
  van der den de het 't 's ter ten tot aan op
  von vom zu zum zur und af av
  du des d' la las los del della dello delle dei degli de' dal dalla di da do dos das
  al el ul ibn bin bint binti ap
  ван дер ден фон цу де да ди дю дель делла ла аль эль ибн бин
`);

/** Elided Dutch articles: they have no first letter that could be a capital, in Belgium neither. */
const ELIDED = words(`'t 's`);

/** Patronymic and generational suffixes (`son of`, `junior`): lower case, also at the end of the field. */
const CLOSING = words(`
  оглы оглу кызы кизи гызы улы уулу ұлы қызы мл ст
  oğlu qızı ogly kyzy ogli qizi o'g'li
`);

/** `Costa e Silva`, `Ortega y Gasset`; in `john e smith` it is an initial. */
const CONJUNCTIONS = words('e y i');

/** Arabic articles that a hyphen joins to the name. Other words before a hyphen are names: `Kim Bin-woo`. */
const HYPHENATED = words('al el ul аль эль');

/** The position of a word in its field. */
export interface WordContext {
  /** Separators between this word and its neighbours. */
  before: string;
  after: string;
  /** The last word, not counting `Jr` or `III`. */
  isLast: boolean;
  followsParticle: boolean;
  /** Already lower case, beside a word with a correct capital. */
  isIntended: boolean;
}

/**
 * The custom of a country for particles. `lower`: `Ludwig van Beethoven`. `capital`, American and Belgian: like other words
 * (`Robert De Niro`, `Herman Van Rompuy`), but lower case where the rest of the name is written correctly (`Charles de
 * Gaulle`).
 */
export type ParticleCase = 'lower' | 'capital';

/** Whether this word, which is not the field's first, is written in lower case. */
export function isLowerCase(word: string, context: WordContext, particleCase: ParticleCase): boolean {
  const particle = plainWord(word);
  if (!isNameSeparator(context.before)) return false;
  if (CLOSING.has(particle)) return true;
  if (CONJUNCTIONS.has(particle)) return context.isIntended && context.after === ' ';
  if (!PARTICLES.has(particle)) return false;
  if (particleCase === 'capital' && !context.isIntended && !ELIDED.has(particle)) return false;
  // At the end of a field it is a name (`Wang Bin`, `Thi Van`), unless the name continues in the next field.
  if (context.isLast) return context.isIntended || context.followsParticle;
  if (context.before === ' ' && context.after !== ' ')
    return isHyphen(context.after) && HYPHENATED.has(particle);
  return isNameSeparator(context.after);
}

export function isParticle(word: string): boolean {
  return PARTICLES.has(plainWord(word));
}

/** Whether this word is lower case at some position of a name. */
export function canBeLowerCase(word: string): boolean {
  return isParticle(word) || CLOSING.has(plainWord(word)) || CONJUNCTIONS.has(plainWord(word));
}

function isNameSeparator(gap: string): boolean {
  return gap === ' ' || isHyphen(gap) || gap === ', ';
}

function isHyphen(gap: string): boolean {
  return /^\p{Dash_Punctuation}$/u.test(gap);
}

function words(list: string): Set<string> {
  return new Set(list.trim().split(/\s+/u));
}
