import { counter } from '@relay/platform';

const wrongTokens = counter({
  name: 'relay_ops_wrong_tokens_total',
  help: 'Requests to the operator API with a wrong bearer token, or none.',
});

const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;
const FORGOTTEN_AFTER_MS = 10 * 60_000;
const MAX_ADDRESSES = 1_000;
/** Answers that are held back at once, of all addresses. */
const MAX_HELD = 50;

interface Guesser {
  tries: number;
  lastAt: number;
}

/**
 * How long a wrong token waits for its 401: each of one address twice as long as the one before. The right token never
 * waits, from whatever address it comes, so that nobody can lock the operators out.
 */
export class WrongTokens {
  /** In the order of their last tries. */
  private readonly guessers = new Map<string, Guesser>();
  private held = 0;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** @returns the pause before the answer, to be ended by `release`; undefined when too many wait already */
  hold(address: string): number | undefined {
    wrongTokens.inc();
    const tries = this.triesOf(address) + 1;
    this.guessers.delete(address);
    this.guessers.set(address, { tries, lastAt: this.now() });
    for (const oldest of this.guessers.keys()) {
      if (this.guessers.size <= MAX_ADDRESSES) break;
      this.guessers.delete(oldest);
    }
    if (this.held >= MAX_HELD) return undefined;
    this.held += 1;
    return Math.min(FIRST_PAUSE_MS * 2 ** Math.min(tries - 1, 20), MAX_PAUSE_MS);
  }

  release(): void {
    this.held -= 1;
  }

  private triesOf(address: string): number {
    const known = this.guessers.get(address);
    return known === undefined || this.now() - known.lastAt > FORGOTTEN_AFTER_MS ? 0 : known.tries;
  }
}
