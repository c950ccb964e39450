import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const MAX_LINES = 200;
const folder = join(import.meta.dirname, '../examples');
const examples = readdirSync(folder, { withFileTypes: true }).flatMap((each) =>
  each.isDirectory() ? each.name : [],
);

const NO_CODE = ['README.md', 'tsconfig.app.json'];
const isSpec = (file: string): boolean => file.endsWith('.spec.ts');

describe('the examples', () => {
  it('are those of their README', () => {
    const readme = readFileSync(join(folder, 'README.md'), 'utf8');
    const listed = [...readme.matchAll(/^\| \[`([\w-]+)`\]\(\1\)/gm)].map(([, name]) => name);
    expect(new Set(listed)).toEqual(new Set(examples));
    expect(readme).toContain(`at most ${MAX_LINES} lines each`);
  });

  it.each(examples)('%s is short enough to be read at once, and has specs', (example) => {
    const files = readdirSync(join(folder, example), {
      recursive: true,
      encoding: 'utf8',
      withFileTypes: true,
    })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(join(folder, example).length + 1));
    const code = files.filter((file) => !NO_CODE.includes(file));
    // Nothing is out of sight: all of it is in the folder that `--example` copies, and is counted.
    expect(code.filter((file) => !/^src[/\\].+\.ts$/.test(file))).toEqual([]);
    expect(code.some(isSpec)).toBe(true);
    const lines = code.filter((file) => !isSpec(file)).map((file) => linesOf(join(folder, example, file)));
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(MAX_LINES);
  });
});

/** All of them: comments and empty ones, too. */
function linesOf(path: string): number {
  return readFileSync(path, 'utf8').trimEnd().split('\n').length;
}
