import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const root = join(import.meta.dirname, '..');
const folder = join(root, 'docs/images');
const MAX_IMAGES = 6;
const MAX_BYTES = 200_000;
const WIDTH = 1280;

/** The pictures of all pages: their files, and the texts instead of them. */
const references = readdirSync(root, { recursive: false, encoding: 'utf8' })
  .concat(readdirSync(join(root, 'docs'), { encoding: 'utf8' }).map((name) => join('docs', name)))
  .filter((name) => name.endsWith('.md'))
  .flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/!\[([^\]]*)\]\(([^)]+)\)/g)].map(
      ([, text = '', path = '']) => ({ text, path: relative(folder, join(root, dirname(page), path)) }),
    ),
  );

describe('the pictures of the documentation', () => {
  const images = readdirSync(folder);

  it('are few, and each is shown somewhere, with a text instead of it', () => {
    expect(images.length).toBeLessThanOrEqual(MAX_IMAGES);
    expect(new Set(references.map(({ path }) => path))).toEqual(new Set(images));
    for (const { path, text } of references)
      expect({ path, words: text.split(' ').length > 3 }).toEqual({ path, words: true });
  });

  it.each(images)('%s is as wide as the others, and not large', (name) => {
    const image = readFileSync(join(folder, name));
    expect(image.subarray(1, 4).toString()).toBe('PNG');
    expect(image.readUInt32BE(16)).toBe(WIDTH);
    expect(image.length).toBeLessThanOrEqual(MAX_BYTES);
  });
});
