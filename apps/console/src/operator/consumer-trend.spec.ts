import { beforeEach, describe, expect, it } from '@jest/globals';
import { ConsumerTrends } from './consumer-trend.js';

describe('the trend of a backlog', () => {
  let trends: ConsumerTrends;
  beforeEach(() => {
    trends = new ConsumerTrends();
  });

  function textOf(...backlogs: number[]): string {
    for (const [index, events] of backlogs.entries())
      trends.add('names', { backlog: events, processes: [] }, index * 5_000);
    return trends.textOf('names');
  }

  it.each([
    [[100, 150, 200], 'grows by 10 a second'],
    [[10_000, 8_000, 6_000], 'shrinks by 400 a second: empty in 15 s'],
    [[60, 55, 45], 'shrinks by 1.5 a second: empty in 30 s'],
  ])('%j', (backlogs, text) => expect(textOf(...backlogs)).toBe(text));

  it.each([[[]], [[100, 150]], [[100, 100, 100]], [[100, 50, 0]]])('of %j says nothing', (backlogs) => {
    expect(textOf(...backlogs)).toBe('');
  });

  it('forgets what is long ago', () => {
    expect(textOf(0, 0, 900_000, 900_000, 900_000, 900_000, 900_000, 900_000, 900_000)).toBe('');
  });

  it('of one consumer is not that of another', () => {
    textOf(100, 200, 300);
    expect(trends.textOf('other')).toBe('');
  });

  it('tells how many events all its processes handle, whichever come and go', () => {
    const look = (at: number, ...done: [replica: string, done: number][]): void =>
      trends.add(
        'names',
        { backlog: 0, processes: done.map(([replica, each]) => ({ replica, done: each })) },
        at,
      );
    look(0, ['one', 1_000_000]);
    expect(trends.rateOf('names')).toBeUndefined();
    look(5_000, ['one', 1_000_050], ['two', 50]);
    look(10_000, ['two', 150]);
    // 50 of the one, 150 of the other, in ten seconds.
    expect(trends.rateOf('names')).toBe(20);
    look(15_000, ['two', 150]);
    expect(trends.chartOf('names').rate).toEqual([20, 20, 0]);
    expect(trends.rateOf('other')).toBeUndefined();
  });

  it('draws ten minutes, in bounded steps', () => {
    for (let at = 0; at < 3_600_000; at += 1_000) trends.add('names', { backlog: at, processes: [] }, at);
    const { backlog, rate } = trends.chartOf('names');
    expect([backlog.length, rate.length]).toEqual([120, 119]);
    expect(backlog.at(-1)).toBe(3_595_000);
  });
});
