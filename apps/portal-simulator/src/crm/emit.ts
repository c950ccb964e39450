import type { Values } from '../protocol/php.js';
import type { Actor } from './actor.js';

/** Tells every handler of an event of this name. */
export type Emit = (name: string, data: Values, cause: Actor) => void;
