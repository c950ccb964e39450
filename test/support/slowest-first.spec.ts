import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { SLOWEST } from './slowest-first.mjs';

const root = join(import.meta.dirname, '../..');
const specs = ['apps', 'libs', 'test']
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(
      (name) => `${folder}/${name.replaceAll('\\', '/')}`,
    ),
  )
  .filter((path) => path.endsWith('.spec.ts'));

describe('the order of the specs', () => {
  it.each(SLOWEST)('knows %s, which there is', (part) => {
    expect(specs.filter((path) => path.startsWith(part))).not.toEqual([]);
  });
});
