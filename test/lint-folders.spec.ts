import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const script = join(import.meta.dirname, '../scripts/lint-folders.mjs');

function lint(folder: string[]): { status: number | null; said: string } {
  const { status, stderr } = spawnSync(process.execPath, [script, ...folder], { encoding: 'utf8' });
  return { status, said: stderr };
}

/** Real: the script, over files that do their imports and no more. */
describe('the lint of folders', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'relay-lint-folders-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function plant(files: Record<string, string>): void {
    for (const [file, source] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), source);
    }
  }

  it('finds none in this repository', () => {
    expect(lint([])).toEqual({ status: 0, said: '' });
  });

  it('finds a circle of files by each form of import, of types too, and names the imports', () => {
    const forms = {
      values: `import { b } from './b.js';`,
      types: `import type { B } from './b.js';`,
      'a-type-among-values': `import { type B } from './b.js';`,
      'the-type-of-a-module': `type B = import('./b.js').B;`,
      'imported-later': `const b = await import('./b.js');`,
      'passed-on': `export type { B } from './b.js';`,
      nothing: `import './b.js';`,
    };
    for (const [name, source] of Object.entries(forms)) {
      plant({
        [`libs/${name}/src/a.ts`]: source,
        [`libs/${name}/src/b.ts`]: `import { c } from './c.mjs';`,
        [`libs/${name}/src/c.mjs`]: `import { a } from './a.js';`,
      });
    }
    const { status, said } = lint([folder]);
    expect(status).toBe(1);
    for (const name of Object.keys(forms)) {
      const circle = [
        'circle of files:',
        `  libs/${name}/src/a.ts imports libs/${name}/src/b.ts`,
        `  libs/${name}/src/b.ts imports libs/${name}/src/c.mjs`,
        `  libs/${name}/src/c.mjs imports libs/${name}/src/a.ts\n`,
      ];
      expect(said).toContain(circle.join('\n'));
    }
  });

  it('finds a circle through a component, and one through what lies deep in a folder', () => {
    plant({
      'apps/pages/src/Page.vue': `<script setup lang="ts">\nimport { a } from './a.js';\n</script>\n<template><p /></template>`,
      'apps/pages/src/a.ts': `import Page from './Page.vue';`,
      'libs/deep/src/one/inner/x.ts': `import { y } from '../../two/y.js';`,
      'libs/deep/src/two/y.ts': `import { z } from '../one/other/z.js';`,
      'libs/deep/src/one/other/z.ts': '',
    });
    const { status, said } = lint([folder]);
    expect(status).toBe(1);
    expect(said).toContain('circle of files:\n  apps/pages/src/Page.vue imports apps/pages/src/a.ts');
    expect(said).toContain(
      'circle of folders:\n  libs/deep/src/two/y.ts imports libs/deep/src/one/other/z.ts',
    );
  });

  it('finds an import of the kit of specs by what is none', () => {
    const kit = `import { testConsumer } from '@relay/testing';`;
    const memory = `import { MemoryBroker } from '../memory/memory-bus.js';`;
    plant({
      'apps/one/src/main.ts': kit,
      'apps/one/src/one.spec.ts': kit,
      'examples/two/src/two.ts': kit,
      'libs/bus/src/memory/memory-bus.ts': 'export class MemoryBroker {}',
      'libs/bus/src/contract/open.ts': memory,
      'libs/bus/src/contract/open.spec.ts': memory,
    });
    expect(lint([folder])).toEqual({
      status: 1,
      said:
        'only specs may import @relay/testing: apps/one/src/main.ts does\n' +
        'only specs may import libs/bus/src/memory/memory-bus.js: libs/bus/src/contract/open.ts does\n',
    });
  });

  it('finds a circle of folders of which no files make one, by types alone', () => {
    plant({
      'apps/two/src/left/a.ts': `import type { B } from '../right/b.js';`,
      'apps/two/src/left/c.ts': 'export type C = 1;',
      'apps/two/src/right/b.ts': 'export type B = 1;',
      'apps/two/src/right/d.ts': `import type { C } from '../left/c.js';`,
    });
    expect(lint([folder])).toEqual({
      status: 1,
      said: [
        'circle of folders:',
        '  apps/two/src/left/a.ts imports apps/two/src/right/b.ts',
        '  apps/two/src/right/d.ts imports apps/two/src/left/c.ts\n',
      ].join('\n'),
    });
  });

  it('takes the files beside a folder for a folder of their own', () => {
    plant({
      'apps/two/src/main.ts': `import { part } from './part/part.js';`,
      'apps/two/src/tokens.ts': 'export const LOG = 1;',
      'apps/two/src/part/part.ts': `import { LOG } from '../tokens.js';`,
    });
    expect(lint([folder]).said).toContain('part/part.ts imports apps/two/src/tokens.ts');
  });

  it('leaves specs out, and whatever comes from another lib', () => {
    plant({
      'libs/one/src/a.ts': `import { b } from './part/b.js'; import { c } from '@relay/two';`,
      'libs/one/src/part/b.ts': 'export const b = 1;',
      'libs/one/src/part/b.spec.ts': `import { a } from '../a.js';`,
      'libs/two/src/index.ts': `export { a } from '@relay/one';`,
    });
    expect(lint([folder])).toEqual({ status: 0, said: '' });
  });
});
