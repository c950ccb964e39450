import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../../../../test/support/eventually.js';
import { watchSources } from './source-watch.js';

describe('the watch of sources', () => {
  let root: string;
  let changes: string[];
  let end: () => void;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'relay-watch-'));
    for (const file of ['apps/greeter/src/main.ts', 'apps/other/src/main.ts', 'libs/bus/src/index.ts'])
      write(file);
    changes = [];
    end = watchSources(root, 'greeter', (projects) => changes.push(...projects));
  });
  afterEach(() => {
    end();
    rmSync(root, { recursive: true, force: true });
  });

  function write(file: string): void {
    mkdirSync(join(root, file, '..'), { recursive: true });
    writeFileSync(join(root, file), String(Math.random()));
  }

  it('sees a file that an editor replaces, as often as it does', async () => {
    for (let times = 1; times <= 3; times += 1) {
      write('apps/greeter/src/main.ts.new');
      renameSync(join(root, 'apps/greeter/src/main.ts.new'), join(root, 'apps/greeter/src/main.ts'));
      await eventually(() => expect(changes).toEqual(Array.from({ length: times }, () => 'greeter')));
    }
  });

  it('sees a file in a folder that is new', async () => {
    write('apps/greeter/src/deep/one.ts');
    await eventually(
      () => {
        write('apps/greeter/src/deep/one.ts');
        expect(changes).toContain('greeter');
      },
      // Each write begins the quiet time anew.
      { everyMs: 300 },
    );
  });

  it('names the lib, and does not care for specs or other apps', async () => {
    write('apps/greeter/src/main.spec.ts');
    write('apps/other/src/main.ts');
    write('libs/bus/src/index.ts');
    await eventually(() => expect(changes).toEqual(['bus']));
  });
});
