import { describe, expect, it } from '@jest/globals';
import { throwSiteOf } from './run-batch.js';

function thrown(stack: string): Error {
  return Object.assign(new TypeError('Cannot read properties of undefined'), { stack });
}

describe('throwSiteOf', () => {
  it('names the first place in an app', () => {
    const stack = `TypeError: Cannot read properties of undefined (reading 'title')
    at helper (/srv/relay/libs/bitrix24/src/batch.ts:7:3)
    at changesOf (/srv/relay/apps/deal-notifier/src/changes.ts:12:5)
    at DealNotifierController.handle (file:///srv/relay/apps/deal-notifier/src/deal-notifier.controller.ts:40:1)`;
    expect(throwSiteOf(thrown(stack))).toBe('apps/deal-notifier/src/changes.ts:12:5');
  });

  it('reads a frame without a function', () => {
    expect(throwSiteOf(thrown('Error\n    at file:///r/apps/a-b/src/main.ts:1:2'))).toBe(
      'apps/a-b/src/main.ts:1:2',
    );
  });

  it('takes nothing for a frame that the message says, however long', () => {
    const error = new Error(`no\n    at apps/forged/src/\u001b[2J.ts:1:2\n    at apps/forged/src/a.ts:1:2`);
    expect(throwSiteOf(error) ?? '').not.toContain('forged');
    const flood = new Error(`\n  at ${'apps/'.repeat(100_000)}`);
    const startedAt = process.cpuUsage();
    throwSiteOf(flood);
    throwSiteOf(Object.assign(flood, { message: 'another by now' }));
    const { user } = process.cpuUsage(startedAt);
    expect(user).toBeLessThan(1_000_000);
  });

  it('says nothing where no app is in the stack, or nothing was thrown that has one', () => {
    expect(
      throwSiteOf(thrown('Error: apps/a/src/b.ts:1:2\n    at node:internal/timers:5:1')),
    ).toBeUndefined();
    expect(throwSiteOf('text')).toBeUndefined();
  });
});
