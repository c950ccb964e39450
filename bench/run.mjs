/** `npm run bench -- <name>`: runs bench/<name>.mjs. What each one measures, and what is to be reached, stands in it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [name] = process.argv.slice(2);
if (name === undefined) {
  console.log(list());
} else if (names().includes(name)) {
  // What is left are its own arguments.
  process.argv.splice(2, 1);
  await import(pathToFileURL(fileOf(name)).href);
} else {
  console.error(`There is no benchmark ${name}.\n\n${list()}`);
  process.exitCode = 1;
}

function names() {
  const files = readdirSync(import.meta.dirname).filter(
    (file) => file.endsWith('.mjs') && file !== 'run.mjs',
  );
  return files.map((file) => file.slice(0, -'.mjs'.length));
}

/** @param {string} benchmark */
function fileOf(benchmark) {
  return join(import.meta.dirname, `${benchmark}.mjs`);
}

function list() {
  const lines = names().map((benchmark) => `  npm run bench -- ${benchmark}\n${subjectOf(benchmark)}\n`);
  return ['What is measured:\n', ...lines].join('\n');
}

/** The first paragraph of the comment that it begins with. @param {string} benchmark */
function subjectOf(benchmark) {
  const comment = /^\/\*\*\n((?: \* .+\n)+)/.exec(readFileSync(fileOf(benchmark), 'utf8'))?.[1] ?? '';
  return comment.replaceAll(/^ \* /gm, '      ').trimEnd();
}
