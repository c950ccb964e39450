import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PageBlocks } from './page-blocks.js';

const PAGE = `# A page

\`\`\`sh
npm run one
npm run two
\`\`\`

- in a list:

  ~~~~ts
  // with ~~~ inside
  ~~~~

\`\`\`
no kind
\`\`\`

\`\`\`sh
npm run one
\`\`\`
`;

describe('the blocks of a page', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'relay-page-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function blocksOf(text: string): PageBlocks {
    const path = join(folder, 'page.md');
    writeFileSync(path, text);
    return new PageBlocks(path);
  }

  it('are left until they are taken, each once', () => {
    const page = blocksOf(PAGE);
    expect(page.left()).toEqual([
      'sh: npm run one',
      'ts:   // with ~~~ inside',
      ': no kind',
      'sh: npm run one',
    ]);
    expect(page.take('sh', 'npm run')).toBe('npm run one\nnpm run two\n');
    expect(page.take('sh', 'npm run')).toBe('npm run one\n');
    expect(() => page.take('sh', 'npm run')).toThrow('no other block of sh that begins with npm run');
    expect(page.left()).toEqual(['ts:   // with ~~~ inside', ': no kind']);
  });

  it('have an end', () => {
    expect(() => blocksOf('```sh\nnpm run one\n')).toThrow('a block is not closed: npm run one');
  });
});
