import { expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const linesOf = (name: string): string[] => readFileSync(join(root, name), 'utf8').split('\n');

/** `.dockerignore` leaves everything out but what it names. */
it('Docker is given what the Dockerfile copies', () => {
  const given = linesOf('.dockerignore').flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []));
  const copied = linesOf('Dockerfile')
    .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
    .flatMap((line) => line.split(' ').slice(1, -1));
  expect(copied).toContain('scripts/build.mjs');
  expect(given).toEqual(expect.arrayContaining(copied));
});
