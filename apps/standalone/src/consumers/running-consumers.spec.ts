import { beforeEach, describe, expect, it } from '@jest/globals';
import { RunningConsumers } from './running-consumers.js';

const notLoaded = (): Promise<never> => Promise.reject(new Error('not loaded here'));

describe('the consumers of one process', () => {
  let taken: Set<string>;
  let told: string[];
  let broken: Set<string>;
  let stuck: Set<string>;
  let consumers: RunningConsumers;
  beforeEach(() => {
    taken = new Set();
    told = [];
    broken = new Set();
    stuck = new Set();
    consumers = new RunningConsumers({
      find: async () => ['one', 'two'].map((app) => ({ app, load: notLoaded })),
      takenOver: () => taken,
      start: async ({ app }) => {
        told.push(`start ${app}`);
        if (broken.has(app)) return undefined;
        return {
          close: async () => {
            told.push(`close ${app}`);
            if (stuck.has(app)) throw new Error(`${app} is stuck`);
          },
        };
      },
      released: (app) => void told.push(`released ${app}`),
      resumed: (app) => void told.push(`resumed ${app}`),
      made: (app) => void told.push(`made ${app}`),
    });
  });

  it('start once, and close in the other order', async () => {
    await consumers.update();
    await consumers.update();
    await consumers.close();
    expect(told).toEqual(['start one', 'start two', 'close two', 'close one']);
  });

  it('do not start what is run elsewhere, and do when that ends', async () => {
    taken = new Set(['one']);
    await consumers.update();
    expect(told).toEqual(['released one', 'start two']);
    taken = new Set();
    await consumers.update();
    expect(told.slice(2)).toEqual(['start one', 'resumed one']);
  });

  it('do not run one that was made after they were found', async () => {
    await consumers.update();
    taken = new Set(['three']);
    await consumers.update();
    taken = new Set();
    await consumers.update();
    expect(told.slice(2)).toEqual(['released three', 'made three']);
  });

  it('close one before it is said that it is released', async () => {
    await consumers.update();
    taken = new Set(['two', 'unknown']);
    await consumers.update();
    await consumers.update();
    expect(told.slice(2)).toEqual(['close two', 'released two', 'released unknown']);
  });

  it('try a broken one once, and again after it was run elsewhere', async () => {
    broken.add('one');
    await consumers.update();
    await consumers.update();
    expect(told).toEqual(['start one', 'start two']);
    taken = new Set(['one']);
    await consumers.update();
    taken = new Set();
    await consumers.update();
    expect(told.slice(2)).toEqual(['released one', 'start one']);
  });

  it('close all, though one cannot be closed, and go on after that', async () => {
    await consumers.update();
    stuck.add('two');
    await expect(consumers.close()).rejects.toThrow(AggregateError);
    expect(told.slice(2)).toEqual(['close two', 'close one']);
  });

  it('go on after one could not be closed for npm run dev', async () => {
    await consumers.update();
    stuck.add('one');
    taken = new Set(['one']);
    await expect(consumers.update()).rejects.toThrow('one is stuck');
    stuck.clear();
    await consumers.update();
    expect(told.slice(2)).toEqual(['close one', 'close one', 'released one']);
  });

  it('start none once they close', async () => {
    await consumers.close();
    await consumers.update();
    expect(told).toEqual([]);
  });
});
