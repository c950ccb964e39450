import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startOf } from '@relay/platform';
import { noteReleased, takenOver, takeOver, untilReleased } from './take-over.js';

describe('a consumer that npm run dev takes over', () => {
  let dataDir: string;
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'relay-take-over-'));
  });
  afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

  it('is taken until it is given back, and then nothing is left', () => {
    expect(takenOver(dataDir)).toEqual(new Set());
    const release = takeOver(dataDir, 'greeter');
    expect(takenOver(dataDir)).toEqual(new Set(['greeter']));
    release();
    expect(takenOver(dataDir)).toEqual(new Set());
    expect(existsSync(join(dataDir, 'dev'))).toBe(false);
  });

  it('fails for a second one, which says which process has it', () => {
    takeOver(dataDir, 'greeter');
    expect(() => takeOver(dataDir, 'greeter')).toThrow(
      `greeter is run by another npm run dev (process ${process.pid})`,
    );
  });

  it('is given back by a process that was killed', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    const folder = join(dataDir, 'dev/greeter');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'lock'), `${child.pid} ${startOf(child.pid ?? 0)}\n`);
    expect(takenOver(dataDir)).toEqual(new Set(['greeter']));
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(takenOver(dataDir)).toEqual(new Set());
    takeOver(dataDir, 'greeter');
  });

  it('waits until npm start has let it go, also after an earlier time', async () => {
    takeOver(dataDir, 'greeter');
    noteReleased(dataDir, 'greeter');
    await untilReleased(dataDir, 'greeter');
    noteReleased(dataDir, 'gone');
    expect(existsSync(join(dataDir, 'dev/gone'))).toBe(false);
  });
});
