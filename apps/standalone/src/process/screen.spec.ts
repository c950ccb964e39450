import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, jest } from '@jest/globals';
import { ResourceStack } from './resource-stack.js';
import { openLogFile, Screen } from './screen.js';

const folder = mkdtempSync(join(tmpdir(), 'relay-screen-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What the screen says of these lines, the first of a file. */
function shown(...lines: object[]): string[] {
  const texts: string[] = [];
  const screen = new Screen(new ResourceStack());
  jest.spyOn(screen, 'line').mockImplementation((text = '') => void texts.push(text));
  const file = join(folder, 'relay.log');
  const log = openLogFile(file, screen);
  for (const line of lines)
    log.write(`${JSON.stringify({ level: 'warn', app: 'deal-notifier', ...line })}\n`);
  expect(readFileSync(file, 'utf8')).toContain('deal-notifier');
  return texts;
}

function gone(deal: number): object {
  return { msg: 'a batch failed', failure: { code: 'GONE', message: `deal ${deal} is gone` } };
}

describe('the screen of npm start', () => {
  it('says why an event failed, once for each code', () => {
    const scope = { code: 'INSUFFICIENT_SCOPE', message: 'INSUFFICIENT_SCOPE from im.notify' };
    expect(shown(gone(1), gone(2), { msg: 'a batch failed', failure: scope })).toEqual([
      '! deal-notifier: a batch failed (deal 1 is gone)',
      '! deal-notifier: a batch failed (INSUFFICIENT_SCOPE from im.notify)',
    ]);
  });

  it('shows the line without what it does not know', () => {
    expect(
      shown({ msg: 'a batch failed', failure: 'text' }, { msg: 'away', err: { message: 'rejected' } }),
    ).toEqual(['! deal-notifier: a batch failed', '! deal-notifier: away (rejected)']);
  });
});
