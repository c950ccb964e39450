import { plainWord } from './letters.js';

/** Written lower inside a name. Left out on purpose: `le`, `lo`, `te`, `ben`, `san`, `mac`, which as a rule are capitals. */
const PARTICLES = words(`
  van der den de het 't 's ter ten tot aan op
  von vom zu zum zur und af av
  du des d' la las los del della dello delle dei degli de' dal dalla di da do dos das
  al el ul ibn bin bint binti ap
  ван дер ден фон цу де да ди дю дель делла ла аль эль ибн бин
`);

/** Dutch articles that lost their start: there is nothing to make a capital of, not even in Belgium. */
const ELIDED = words(`'t 's`);

/** After a name it says whose child somebody is, or which of two; lower, and it may end the field. */
const CLOSING = words(`
  оглы оглу кызы кизи гызы улы уулу ұлы қызы мл ст
  oğlu qızı ogly kyzy ogli qizi o'g'li
`);

/** `Costa e Silva`, `Ortega y Gasset`; but `john e smith` has an initial. */
const CONJUNCTIONS = words('e y i');

/** Arabic articles that are tied to their name by a hyphen. Others before a hyphen are names: `Kim Bin-woo`. */
const TIED = words('al el ul аль эль');

export interface Surroundings {
  /** What stands between this word and its neighbours. */
  before: string;
  after: string;
  /** This is the last word, a `Jr` or `III` aside. */
  isLast: boolean;
  followsParticle: boolean;
  /** It is lower already, beside a word that has its capital. */
  isMeant: boolean;
}

/**
 * What people of a country do with the particles of their names. `lower`: `Ludwig van Beethoven`. `capital`: as Americans
 * and Belgians do, like other words (`Robert De Niro`, `Herman Van Rompuy`), but lower where somebody who wrote the name
 * right wrote them so (`Charles de Gaulle`).
 */
export type ParticleCase = 'lower' | 'capital';

/** Is this word, which is not the field's first, one to be written lower? */
export function staysLower(word: string, around: Surroundings, particleCase: ParticleCase): boolean {
  const particle = plainWord(word);
  if (!isTie(around.before)) return false;
  if (CLOSING.has(particle)) return true;
  if (CONJUNCTIONS.has(particle)) return around.isMeant && around.after === ' ';
  if (!PARTICLES.has(particle)) return false;
  if (particleCase === 'capital' && !around.isMeant && !ELIDED.has(particle)) return false;
  // At the end it is no longer inside: `Wang Bin`, `Thi Van` are names. Unless somebody splits a name there.
  if (around.isLast) return around.isMeant || around.followsParticle;
  if (around.before === ' ' && around.after !== ' ') return isHyphen(around.after) && TIED.has(particle);
  return isTie(around.after);
}

export function isParticle(word: string): boolean {
  return PARTICLES.has(plainWord(word));
}

/** Can this word be lower at some place of a name? */
export function isOftenSmall(word: string): boolean {
  return isParticle(word) || CLOSING.has(plainWord(word)) || CONJUNCTIONS.has(plainWord(word));
}

function isTie(gap: string): boolean {
  return gap === ' ' || isHyphen(gap) || gap === ', ';
}

function isHyphen(gap: string): boolean {
  return /^\p{Dash_Punctuation}$/u.test(gap);
}

function words(list: string): Set<string> {
  return new Set(list.trim().split(/\s+/u));
}
