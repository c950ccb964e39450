import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { effectScope } from 'vue';
import { workingConsumer } from '../../../../test/support/admin-samples.js';
import { useDeadLetterRun } from './dead-letter-run.js';

const consumer = 'names';
const letters = 5;
const workMs = 7_000;
const scanMs = 15_000;
const pauseMs = 45_000;
/** The server's clock is ahead of the browser's. */
const skewMs = 3_600_000;

/** A control plane that reads many letters in scans, as on RabbitMQ; the replayed events die again, the last one at the end. */
class ControlPlane {
  private readonly replayedAt = this.now();
  private counted = { beganAt: this.now() - 1_000, deaths: 0 };
  private scan: { beganAt: number; deaths: number } | undefined;
  readonly asked: string[] = [];

  private now(): number {
    return Date.now() + skewMs;
  }

  private deaths(): number {
    return this.now() >= this.replayedAt + workMs ? 1 : 0;
  }

  answer(path: string): object {
    this.asked.push(path);
    if (path.startsWith('/dead-letters/replay'))
      return {
        replayed: letters,
        done: true,
        complete: true,
        until: new Date(this.replayedAt).toISOString(),
      };
    if (path.startsWith('/consumers')) {
      const waiting = this.deaths() === 0 ? 1 : 0;
      return { consumers: [{ ...workingConsumer, consumer, waiting, inHand: 0, retrying: 0 }] };
    }
    const query = new URLSearchParams(path.split('?')[1]);
    this.advance(Date.parse(query.get('asOf') ?? query.get('since') ?? ''));
    const { beganAt, deaths } = this.counted;
    const died = { receivedAt: new Date(this.replayedAt - 60_000).toISOString() };
    return {
      deadLetters: Array.from({ length: deaths }, () => died),
      matching: deaths,
      complete: true,
      countedAt: new Date(beganAt).toISOString(),
    };
  }

  private advance(asOf: number): void {
    if (this.scan && this.now() >= this.scan.beganAt + scanMs) {
      this.counted = this.scan;
      this.scan = undefined;
    }
    const isDue = this.now() >= this.counted.beganAt + scanMs + pauseMs || asOf > this.counted.beganAt;
    // A letter that dies behind the scan is not seen.
    if (isDue) this.scan ??= { beganAt: this.now(), deaths: this.deaths() };
  }
}

describe('what became of a replay', () => {
  let controlPlane: ControlPlane;
  beforeEach(() => {
    jest.useFakeTimers({ now: Date.UTC(2026, 10, 30) });
    controlPlane = new ControlPlane();
    Object.assign(globalThis, { sessionStorage: { getItem: () => 'token' } });
    jest
      .spyOn(globalThis, 'fetch')
      .mockImplementation(async (address) =>
        Response.json(
          controlPlane.answer(typeof address === 'string' ? address.replace('/ops/api', '') : ''),
        ),
      );
  });
  afterEach(() => {
    jest.useRealTimers();
    jest.restoreAllMocks();
    Reflect.deleteProperty(globalThis, 'sessionStorage');
  });

  it('is said after the first count that began when it was quiet, whatever an earlier one says', async () => {
    const scope = effectScope();
    const run = scope.run(useDeadLetterRun);
    if (!run) throw new Error('it has no scope');
    const beganAt = performance.now();
    const done = run.run('replay', { consumer }, letters, () => undefined);
    while (!run.outcome.value?.isSettled && performance.now() - beganAt < 10 * 60_000)
      await jest.advanceTimersByTimeAsync(500);
    await done;
    // The count that began with the replay has none of them.
    expect(run.outcome.value).toMatchObject({
      isSettled: true,
      diedAgain: 1,
      text: '4 worked off, 1 died again.',
    });
    expect(performance.now() - beganAt).toBeLessThan(workMs + 2 * scanMs + 10_000);
    expect(controlPlane.asked.filter((path) => path.includes('asOf=')).length).toBeGreaterThan(0);
    scope.stop();
  });
});
