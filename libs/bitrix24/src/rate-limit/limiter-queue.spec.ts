import { setImmediate } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { LimiterQueue, type SharedBucket } from './limiter-queue.js';
import type { Ticket } from './bucket.js';
import type { Priority } from './rate-limiter.js';

/** Gives what it was told to give, one answer after the other. */
class ScriptedBucket implements SharedBucket {
  answers: Ticket[] = [];
  turns: number[] = [];
  asked: Priority[] = [];
  givenBack: number[] = [];

  take(work: Priority): Promise<Ticket> {
    this.asked.push(work);
    const answer = this.answers.shift();
    return answer ? Promise.resolve(answer) : Promise.reject(new Error('asked once too often'));
  }
  untilTurn(): Promise<number> {
    return Promise.resolve(this.turns.shift() ?? 0);
  }
  giveBack(place: number): Promise<void> {
    this.givenBack.push(place);
    return Promise.resolve();
  }
  lower(): Promise<void> {
    return Promise.resolve();
  }
}

const granted = (place: number, waitMs = 0): Ticket => ({ granted: true, place, waitMs });
const refused = (askAgainMs: number): Ticket => ({ granted: false, askAgainMs });

describe('LimiterQueue', () => {
  let bucket: ScriptedBucket;
  let line: LimiterQueue;
  beforeEach(() => {
    bucket = new ScriptedBucket();
    line = new LimiterQueue(bucket);
  });

  it('checks again after a long wait, and waits on if the ticket is due later', async () => {
    bucket.answers = [granted(1, 510)];
    bucket.turns = [600, 0];
    const startedAt = performance.now();
    await line.admit('live');
    expect(performance.now() - startedAt).toBeGreaterThan(1_050);
    expect(bucket.turns).toEqual([]);
  });

  it('trusts a short wait', async () => {
    bucket.answers = [granted(1, 20)];
    bucket.turns = [10_000];
    await line.admit('live');
    expect(bucket.turns).toEqual([10_000]);
  });

  it('lets bulk requests ask one after the other, in their order, and live ones at once', async () => {
    bucket.answers = [granted(1), refused(200), granted(2), granted(3), granted(4)];
    const order: string[] = [];
    const admit = async (work: Priority, name: string): Promise<void> => {
      await line.admit(work);
      order.push(name);
    };
    const all = [
      admit('bulk', 'first'),
      admit('bulk', 'second'),
      admit('bulk', 'third'),
      admit('live', 'live'),
    ];
    await setImmediate();
    expect(bucket.asked).toEqual(['live', 'bulk']);
    await Promise.all(all);
    expect(order).toEqual(['live', 'first', 'second', 'third']);
  });

  it('releases a ticket that nobody waits for any more', async () => {
    bucket.answers = [granted(7, 60_000)];
    await expect(line.admit('live', AbortSignal.timeout(20))).rejects.toThrow('timeout');
    expect(bucket.givenBack).toEqual([7]);
  });

  it('goes on with the others when one in the bulk queue fails or gives up', async () => {
    const end = new AbortController();
    bucket.answers = [refused(50), granted(1), granted(2)];
    const first = line.admit('bulk');
    const gone = line.admit('bulk', end.signal);
    const last = line.admit('bulk');
    end.abort(new Error('gone'));
    await expect(gone).rejects.toThrow('gone');
    await Promise.all([first, last]);
    await expect(line.admit('bulk')).rejects.toThrow('asked once too often');
    bucket.answers = [granted(3)];
    await line.admit('bulk');
    expect(bucket.givenBack).toEqual([]);
  });
});
