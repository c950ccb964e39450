import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { findConsumers } from './find-consumers.js';

describe('the consumers of a folder of apps', () => {
  let apps: string;
  beforeEach(() => {
    apps = mkdtempSync(join(tmpdir(), 'relay-apps-'));
  });
  afterEach(() => rmSync(apps, { recursive: true, force: true }));

  function write(path: string, text: string): void {
    mkdirSync(join(apps, path, '..'), { recursive: true });
    writeFileSync(join(apps, path), text);
  }

  it('are the apps that have a file for it, by name', async () => {
    write('notifier/src/consumer.ts', `export const consumer = { name: 'notifier', module: class {} };`);
    write('announcer/src/consumer.ts', `export const consumer = { name: 'announcer', module: class {} };`);
    write('gateway/src/main.ts', `throw new Error('is no consumer');`);
    write('notes.txt', '');
    const found = await findConsumers(apps);
    expect(found.map(({ app }) => app)).toEqual(['announcer', 'notifier']);
    expect((await found[1]?.load())?.name).toBe('notifier');
  });

  it('do not keep each other from being found: what one throws comes when it is loaded', async () => {
    write('broken/src/consumer.ts', `throw new Error('no such file');`);
    write('sound/src/consumer.ts', `export const consumer = { name: 'sound', module: class {} };`);
    const [broken, sound] = await findConsumers(apps);
    await expect(broken?.load()).rejects.toThrow('no such file');
    expect(await sound?.load()).toMatchObject({ name: 'sound' });
  });

  it.each([
    ['nothing', ''],
    ['another name', `export const consumer = { name: 'other', module: class {} };`],
    ['no module', `export const consumer = { name: 'mine' };`],
  ])('must export what starts them, not %s', async (_, text) => {
    write('mine/src/consumer.ts', `export {};\n${text}`);
    const [mine] = await findConsumers(apps);
    await expect(mine?.load()).rejects.toThrow('apps/mine/src/consumer.ts must export `consumer`');
  });

  it('of this repository are all that it has', async () => {
    const found = await findConsumers();
    for (const { app, load } of found) expect(await load()).toMatchObject({ name: app });
    expect(found.map(({ app }) => app)).toEqual(
      expect.arrayContaining(['name-formatter', 'smart-process-sync']),
    );
  });
});
