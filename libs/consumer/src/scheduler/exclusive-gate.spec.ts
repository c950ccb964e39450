import { deferred } from '@relay/platform';
import { describe, expect, it } from '@jest/globals';
import { eventually } from '../../../../test/support/eventually.js';
import { ExclusiveGate } from './exclusive-gate.js';

describe('the exclusive gate', () => {
  it('runs nothing else beside an exclusive run, whichever came first', async () => {
    const exclusiveGate = new ExclusiveGate(60_000);
    let working = 0;
    const crowds: number[] = [];
    const work = (isAlone: boolean) => async (): Promise<void> => {
      working += 1;
      for (let turns = 0; turns < 3; turns++) {
        await new Promise(setImmediate);
        if (isAlone) crowds.push(working);
      }
      working -= 1;
    };
    const all = Array.from({ length: 30 }, (_, nth) =>
      nth % 4 === 0 ? exclusiveGate.exclusive(work(true)) : exclusiveGate.shared(work(false)),
    );
    expect(exclusiveGate.isExclusive).toBe(true);
    await Promise.all(all);
    expect(new Set(crowds)).toEqual(new Set([1]));
    expect(exclusiveGate.isExclusive).toBe(false);
  });

  it('does not wait for ever for shared work that hangs', async () => {
    const exclusiveGate = new ExclusiveGate(10);
    const hanging = deferred<void>();
    void exclusiveGate.shared(() => hanging.promise);
    expect(await exclusiveGate.exclusive(async () => 'done')).toBe('done');
  });

  it('does not block shared work for ever when the exclusive run hangs', async () => {
    const exclusiveGate = new ExclusiveGate(10);
    const hanging = deferred<string>();
    const alone = exclusiveGate.exclusive(() => hanging.promise);
    expect(await exclusiveGate.shared(async () => 'beside')).toBe('beside');
    expect(await exclusiveGate.exclusive(async () => 'next')).toBe('next');
    hanging.resolve('late');
    expect(await alone).toBe('late');
  });

  it('ends an exclusive run that fails, and passes the error to its caller', async () => {
    const exclusiveGate = new ExclusiveGate(60_000);
    await expect(exclusiveGate.exclusive(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await expect(exclusiveGate.shared(() => Promise.reject(new Error('neither')))).rejects.toThrow('neither');
    await eventually(() => expect(exclusiveGate.isExclusive).toBe(false));
    expect(await exclusiveGate.exclusive(async () => 'done')).toBe('done');
  });
});
