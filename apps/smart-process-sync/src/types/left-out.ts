import { leftOutTotal } from '../metrics.js';

export type Described = 'types' | 'fields' | 'options';

/** So that a log line stays one. */
const MAX_EXAMPLES = 5;
const MAX_EXAMPLE_LENGTH = 100;

/** What a portal says of its types and cannot be taken: it is counted and said, and everything else stands. */
export class LeftOut {
  readonly counts: Record<Described, number> = { types: 0, fields: 0, options: 0 };
  /** Of the portal's own texts. */
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
