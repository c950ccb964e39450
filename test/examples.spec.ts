import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const MAX_LINES = 200;
const folder = join(import.meta.dirname, '../examples');
const examples = readdirSync(folder, { withFileTypes: true }).flatMap((each) =>
  each.isDirectory() ? each.name : [],
);

const isSpec = (file: string): boolean => file.endsWith('.spec.ts');

describe('the examples', () => {
  it('are those of their README', () => {
    const readme = readFileSync(join(folder, 'README.md'), 'utf8');
    const listed = [...readme.matchAll(/^\| \[`([\w-]+)`\]\(\1\)/gm)].map(([, name]) => name);
    expect(new Set(listed)).toEqual(new Set(examples));
    expect(readme).toContain(`at most ${MAX_LINES} lines each`);
  });

  it.each(examples)('%s is short enough to be read at once, and has specs', (example) => {
    const files = readdirSync(join(folder, example, 'src'), { recursive: true, encoding: 'utf8' });
    expect(files.some(isSpec)).toBe(true);
    const lines = files
      .filter((file) => file.endsWith('.ts') && !isSpec(file))
      .map(
        (file) =>
          readFileSync(join(folder, example, 'src', file), 'utf8')
            .trimEnd()
            .split('\n').length,
      )
      .reduce((sum, count) => sum + count, 0);
    expect(lines).toBeGreaterThan(0);
    expect(lines).toBeLessThanOrEqual(MAX_LINES);
  });
});
