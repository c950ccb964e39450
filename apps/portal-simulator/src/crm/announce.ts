import type { Values } from '../php.js';
import type { Cause } from './cause.js';

/** Tells every handler of an event of this name. */
export type Announce = (name: string, data: Values, cause: Cause) => void;
