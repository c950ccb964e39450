import { counter } from '@relay/platform';

const wrongTokens = counter({
  name: 'relay_ops_wrong_tokens_total',
  help: 'Requests to the operator API with a wrong bearer token, or none.',
});

const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;
const FORGOTTEN_AFTER_MS = 10 * 60_000;
const MAX_ADDRESSES = 1_000;
/** Maximum delayed responses at once, of all addresses. */
const MAX_HELD = 50;

interface Guesser {
  tries: number;
  lastAt: number;
}

/**
 * The delay of the 401 for a wrong token: it doubles with each attempt of an address. A request with the right token is
 * never delayed, whatever its address, so that nobody can lock the operators out.
 */
export class FailedAuthThrottle {
  /** In the order of their last attempts. */
  private readonly guessers = new Map<string, Guesser>();
  private held = 0;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** @returns the delay of the response, to be ended by `release`; undefined if too many are delayed already */
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
