import { StartupError } from '@relay/platform';
import leven from 'leven';

/** The command was called wrongly, and nothing was done: exit code 2. */
export class UsageError extends StartupError {}

/** Levenshtein distance of a typing error. */
const MAX_DISTANCE = 3;

/** The name that was probably meant. */
export function nearest(given: string, names: readonly string[]): string | undefined {
  const [first] = names
    .map((name) => ({ name, distance: leven(given.slice(0, 64), name) }))
    .toSorted((one, other) => one.distance - other.distance);
  const isNear = first !== undefined && first.distance <= Math.min(MAX_DISTANCE, given.length / 2);
  return isNear ? first.name : undefined;
}
