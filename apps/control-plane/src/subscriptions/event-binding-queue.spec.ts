import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { EventBindingQueue } from './event-binding-queue.js';

describe('the queue of portals whose events are to be bound', () => {
  let begun: string[];
  let ends: Map<string, () => void>;
  let signals: Map<string, AbortSignal>;
  let queue: EventBindingQueue;

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
    [begun, ends, signals] = [[], new Map(), new Map()];
    queue = new EventBindingQueue({ run, timeoutMs: 500, maxSlow: 6 });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  /** Until the test or the signal ends it. */
  async function run(memberId: string, signal: AbortSignal): Promise<void> {
    begun.push(memberId);
    signals.set(memberId, signal);
    await new Promise<void>((resolve) => {
      ends.set(memberId, resolve);
      signal.addEventListener('abort', () => resolve());
    });
  }

  async function end(memberId: string): Promise<void> {
    ends.get(memberId)?.();
    await turn();
  }

  function push(count: number): void {
    for (let number = 0; number < count; number += 1) void queue.push(`m${number}`);
  }

  it('takes a portal out, or ends its run, when its signal aborts', async () => {
    push(4);
    const [waits, runs] = [new AbortController(), new AbortController()];
    const waiting = queue.push('m9', { signal: waits.signal });
    waits.abort();
    await waiting;
    await end('m0');
    const running = queue.push('m8', { signal: runs.signal });
    expect(begun.at(-1)).toBe('m8');
    runs.abort();
    await running;
    expect(begun).not.toContain('m9');
  });

  it('tells when a run has ended', async () => {
    let hasEnded = false;
    void queue.push('m0').then(() => (hasEnded = true));
    await turn();
    expect(hasEnded).toBe(false);
    await end('m0');
    expect(hasEnded).toBe(true);
  });

  it('runs four at once, one run for each portal', async () => {
    push(6);
    void queue.push('m0');
    expect(begun).toEqual(['m0', 'm1', 'm2', 'm3']);
    await end('m1');
    expect(begun).toEqual(['m0', 'm1', 'm2', 'm3', 'm4']);
    // Pushed during a run: it runs once more after that.
    await end('m0');
    await end('m2');
    expect(begun.slice(5)).toEqual(['m5', 'm0']);
  });

  it('gives the place of a run that takes long to the next, and lets it go on', async () => {
    push(6);
    await pass(499);
    expect(begun).toHaveLength(4);
    await pass(1);
    expect(begun).toHaveLength(6);
    expect(signals.get('m0')?.aborted).toBe(false);
  });

  it('begins fresh portals before all others, the newest first', async () => {
    push(10);
    void queue.push('one', { isFresh: true });
    void queue.push('two', { isFresh: true });
    await end('m0');
    await end('m1');
    expect(begun.slice(4)).toEqual(['two', 'one']);
  });

  it('begins a fresh portal also where slow ones have taken every place, and ends the eldest of those', async () => {
    push(20);
    for (let waits = 0; waits < 5; waits += 1) await pass(500);
    expect(begun).toEqual(['m0', 'm1', 'm2', 'm3', 'm4', 'm5']);
    void queue.push('fresh', { isFresh: true });
    expect(begun.at(-1)).toBe('fresh');
    expect(signals.get('m0')?.aborted).toBe(false);
    await pass(500);
    expect([signals.get('m0')?.aborted, signals.get('m1')?.aborted]).toEqual([true, false]);
    expect(signals.get('fresh')?.aborted).toBe(false);
  });

  it('begins others, too, where slow portals say without end that they are fresh', async () => {
    const floods = Array.from({ length: 12 }, () => new AbortController());
    const flood = async (): Promise<void> => {
      for (const [number, before] of floods.entries()) {
        before.abort();
        floods[number] = new AbortController();
        void queue.push(`slow${number}`, { isFresh: true, signal: floods[number].signal });
      }
      await pass(300);
    };
    for (let times = 0; times < 40; times += 1) await flood();
    push(3);
    for (let times = 0; times < 40; times += 1) await flood();
    expect(begun).toEqual(expect.arrayContaining(['m0', 'm1', 'm2']));
    void queue.push('fresh', { isFresh: true });
    for (let times = 0; times < 3; times += 1) await flood();
    expect(begun).toContain('fresh');
  });

  it('ends the run of before when its portal is fresh again, and then begins the new one', async () => {
    void queue.push('m0');
    void queue.push('m0', { isFresh: true });
    expect(signals.get('m0')?.aborted).toBe(true);
    await turn();
    expect(begun).toEqual(['m0', 'm0']);
    expect(signals.get('m0')?.aborted).toBe(false);
  });

  it('starts nothing more once it is stopped, and waits for what it has in hand', async () => {
    push(6);
    let isStopped = false;
    const stopped = queue.stop().then(() => (isStopped = true));
    for (const memberId of ['m0', 'm1', 'm2']) await end(memberId);
    expect(isStopped).toBe(false);
    await end('m3');
    await stopped;
    await queue.push('late');
    expect(begun).toHaveLength(4);
  });
});

async function pass(ms: number): Promise<void> {
  await jest.advanceTimersByTimeAsync(ms);
  await turn();
}
