import { describe, expect, it } from '@jest/globals';
import { shutDownInOrder, type ShutdownStep } from './graceful-shutdown.js';
import { silentLog } from '../telemetry/logger.js';

/** Later than whatever does not wait for it. */
const slowly = async (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
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

  it('closes a part after the previous one is closed', async () => {
    closed.length = 0;
    await shutDownInOrder([step('events', slowly), step('bus')], silentLog);
    expect(closed).toEqual(['events', 'bus']);
  });

  it('continues after a part that hangs or fails, and reports it at the end', async () => {
    closed.length = 0;
    const closing = shutDownInOrder([step('one', fails), step('two', hangs), step('three')], silentLog);
    await expect(closing).rejects.toMatchObject({ parts: ['one', 'two'] });
    expect(closed).toEqual(['three']);
  });

  it('continues after a part that throws synchronously', async () => {
    closed.length = 0;
    const throws: ShutdownStep = {
      what: 'one',
      timeoutMs: 30,
      close: () => {
        throw new Error('broken');
      },
    };
    await expect(shutDownInOrder([throws, step('two')], silentLog)).rejects.toMatchObject({ parts: ['one'] });
    expect(closed).toEqual(['two']);
  });
});
