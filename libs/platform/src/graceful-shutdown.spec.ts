import { describe, expect, it } from '@jest/globals';
import { closeInOrder, type ShutdownStep } from './graceful-shutdown.js';
import { silentLog } from './logger.js';

const slowly = async (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 5));
const fails = (): Promise<never> => Promise.reject(new Error('away'));
const hangs = (): Promise<never> => new Promise(() => undefined);

describe('graceful shutdown in order', () => {
  const closed: string[] = [];
  const step = (what: string, close: () => Promise<unknown> = async () => undefined): ShutdownStep => ({
    what,
    timeoutMs: 30,
    close: async () => {
      await close();
      closed.push(what);
    },
  });

  it('begins a part when the one before is closed', async () => {
    closed.length = 0;
    await closeInOrder([step('events', slowly), step('bus')], silentLog);
    expect(closed).toEqual(['events', 'bus']);
  });

  it('goes on past a part that hangs or fails, and says at the end which did', async () => {
    closed.length = 0;
    const closing = closeInOrder([step('one', fails), step('two', hangs), step('three')], silentLog);
    await expect(closing).rejects.toMatchObject({ parts: ['one', 'two'] });
    expect(closed).toEqual(['three']);
  });

  it('goes on past a part that throws at once', async () => {
    closed.length = 0;
    const throws: ShutdownStep = {
      what: 'one',
      timeoutMs: 30,
      close: () => {
        throw new Error('broken');
      },
    };
    await expect(closeInOrder([throws, step('two')], silentLog)).rejects.toMatchObject({ parts: ['one'] });
    expect(closed).toEqual(['two']);
  });
});
