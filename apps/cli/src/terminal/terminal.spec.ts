import { describe, expect, it, jest } from '@jest/globals';
import { bar, formatAge, ProgressLine } from './terminal.js';

function screen(isTTY: boolean): {
  stream: ConstructorParameters<typeof ProgressLine>[0];
  written: string[];
} {
  const written: string[] = [];
  const write = (text: string | Uint8Array): boolean => written.push(String(text)) > 0;
  return { stream: { isTTY, write }, written };
}

describe('a bar', () => {
  it.each([
    [0, 0, '  0 %'],
    [0.5, 15, ' 50 %'],
    // Not complete yet: it never shows 100 %.
    [0.999, 30, ' 99 %'],
    [1, 30, '100 %'],
  ])('of %d is %d wide', (part, full, percent) => {
    expect(bar(part)).toBe(`${'█'.repeat(full)}${'░'.repeat(30 - full)} ${percent}`);
  });

  it.each([-1, 2])('stays in its place when it is told %d', (part) => {
    expect(bar(part).split(' ')[0]).toHaveLength(30);
  });
});

describe('a line of progress', () => {
  it('is written over itself on a terminal, and leaves nothing behind', () => {
    const { stream, written } = screen(true);
    const line = new ProgressLine(stream);
    line.show('10 items', 0.5);
    line.show('20 items', 1);
    line.end();
    expect(written).toEqual([`\r${bar(0.5)} 10 items\u001b[K`, `\r${bar(1)} 20 items\u001b[K`, '\r\u001b[K']);
  });

  it('is a line every five seconds where nobody watches', () => {
    jest.useFakeTimers();
    try {
      const { stream, written } = screen(false);
      const line = new ProgressLine(stream);
      line.show('10 items', 0.107);
      jest.advanceTimersByTime(4_900);
      line.show('20 items', 0.2);
      jest.advanceTimersByTime(200);
      line.show('30 items', 0.3);
      line.end();
      expect(written).toEqual(['10 % 10 items\n', '30 % 30 items\n']);
    } finally {
      jest.useRealTimers();
    }
  });
});

describe('an age', () => {
  const now = Date.parse('2026-11-25T12:00:00Z');

  it.each([
    ['2026-11-25T11:59:15Z', '45 s'],
    ['2026-11-25T11:00:00Z', '60 min'],
    ['2026-11-25T09:00:00Z', '3 h'],
    ['2026-11-20T12:00:00Z', '5 d'],
    ['2026-11-25T12:00:05Z', '0 s'],
    [null, '-'],
  ])('%s is %s old', (iso, age) => expect(formatAge(iso, now)).toBe(age));
});
