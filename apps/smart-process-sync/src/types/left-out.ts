import { leftOutTotal } from '../metrics.js';

export type Described = 'types' | 'fields' | 'options';

/** Keeps a log line short. */
const MAX_EXAMPLES = 5;
const MAX_EXAMPLE_LENGTH = 100;

/** Invalid parts of a portal's type descriptions: they are counted and logged, and everything else is used. */
export class LeftOut {
  readonly counts: Record<Described, number> = { types: 0, fields: 0, options: 0 };
  /** Texts of the portal. */
  readonly examples: string[] = [];

  add(what: Described, example: string, count = 1): void {
    this.counts[what] += count;
    leftOutTotal.inc({ what }, count);
    if (this.examples.length < MAX_EXAMPLES) this.examples.push(example.slice(0, MAX_EXAMPLE_LENGTH));
  }

  isEmpty(): boolean {
    return Object.values(this.counts).every((count) => count === 0);
  }
}
