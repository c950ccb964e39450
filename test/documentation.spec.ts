import { describe, expect, it } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const FOLDERS = ['apps', 'bench', 'deploy', 'docs', 'examples', 'libs', 'scripts', 'test', 'tools'];

const files = [
  ...readdirSync(root),
  ...FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => `${folder}/${file}`),
  ),
].filter((file) => !file.includes('node_modules'));
const baseNames = new Set(files.map((file) => basename(file)));
/** What TypeScript and the templates of the generator declare. */
const declared = new Set(
  files
    .filter((file) => /^(apps|libs|tools)\/.+\.(ts|js|template)$/.test(file))
    .flatMap((file) => [
      ...readFileSync(join(root, file), 'utf8').matchAll(
        /\b(?:class|const|function\*?|interface|type) (\w+)/g,
      ),
    ])
    .map(([, name = '']) => name),
);

/** Apps that the page makes up to show a command. */
const MADE_UP = ['apps/deal-notifier'];
/** Written as a class is, and none of ours. */
const FOREIGN = ['JavaScript', 'TypeScript'];

const PATH = new RegExp(`^(${FOLDERS.join('|')})(/[\\w.*-]+)+$`);
const FILE = /^[a-z][\w.-]*\.(ts|mjs|vue)$/;
/** In camel case, such as `EventBus` and `decideRetry`: also of a decorator. */
const NAME = /^@?[a-zA-Z]+[a-z][A-Z][a-zA-Z]*$/;

/** Everything in backticks, blocks of code left out. */
function termsOf(text: string): string[] {
  const prose = text.replaceAll(/^```[^]*?^```$/gm, '');
  return [...prose.matchAll(/`([^`\n]+)`/g)].map(([, term = '']) => term);
}

/** A path of the repository, from its root: also with a `*` for one folder. */
function exists(path: string): boolean {
  const [folder = '', rest] = path.split('/*');
  if (rest === undefined) return existsSync(join(root, path));
  return readdirSync(join(root, folder)).some((name) => existsSync(join(root, folder, name, rest)));
}

/** Paths, files by their name alone (beside one that the page has named), and names of the code that are not there. */
function missingOf(terms: readonly string[]): string[] {
  return terms.filter((term) => {
    if (PATH.test(term)) return !MADE_UP.includes(term) && !exists(term);
    if (FILE.test(term)) return !baseNames.has(term);
    return NAME.test(term) && !FOREIGN.includes(term) && !declared.has(term.replace('@', ''));
  });
}

function within(folder: string): string[] {
  return readdirSync(join(root, folder)).map((name) => `${folder}/${name}`);
}

const pages: Record<string, string> = {
  // The names of people in its section of that title are none of the code.
  'README.md': readFileSync(join(root, 'README.md'), 'utf8').replace(/^## Names\n[^]*?^## /m, ''),
  'docs/architecture.md': readFileSync(join(root, 'docs/architecture.md'), 'utf8'),
};

describe.each(Object.entries(pages))('%s', (_, text) => {
  const terms = termsOf(text);

  it('names folders, files and classes that there are', () => {
    expect(terms.length).toBeGreaterThan(100);
    expect(missingOf(terms)).toEqual([]);
  });
});

describe('the tables of folders', () => {
  it('have every lib, and that of README.md every app', () => {
    // A generated consumer has a row in README.md.
    const wanted = {
      'README.md': [...within('apps'), ...within('libs')],
      'docs/architecture.md': within('libs'),
    };
    for (const [page, folders] of Object.entries(wanted)) {
      const rows = (pages[page] ?? '').matchAll(/^\| `((?:apps|libs)\/[\w-]+)(?:\/src)?` /gm);
      const named = new Set([...rows].map(([, path = '']) => path));
      expect([page, folders.filter((path) => !named.has(path))]).toEqual([page, []]);
    }
  });
});
