// Finds circles among the files and among the folders of each lib and app (`npm run lint`). Imports of types count:
// a folder that can be moved alone needs none of its own importers. Specs are left out. What may not be imported from
// another lib or app, .oxlintrc.json says.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** @typedef {{ from: string, to: string }} Import */

/** @param {string} root @returns {string[]} a text for each circle, with the imports that make it */
function findCircles(root) {
  return ['apps', 'libs'].flatMap((kind) =>
    namesIn(join(root, kind)).flatMap((name) => circlesOf(root, posix.join(kind, name))),
  );
}

/** @param {string} folder */
function namesIn(folder) {
  return existsSync(folder) ? readdirSync(folder).toSorted() : [];
}

/** @param {string} root @param {string} unit a lib or an app */
function circlesOf(root, unit) {
  const imports = importsOf(root, unit);
  const ofFiles = circlesAmong(imports, (file) => file);
  // A circle of files is told once.
  const told = new Set(ofFiles.flat());
  const others = imports.filter((each) => !told.has(each));
  const ofFolders = circlesAmong(others, (file) => posix.dirname(file));
  return [
    ...ofFiles.map((circle) => textOf('files', circle)),
    ...ofFolders.map((circle) => textOf('folders', circle)),
  ];
}

/** @param {string} what @param {Import[]} circle */
function textOf(what, circle) {
  return [`circle of ${what}:`, ...circle.map(({ from, to }) => `  ${from} imports ${to}`)].join('\n');
}

/** @param {string} root @param {string} unit @returns {Import[]} */
function importsOf(root, unit) {
  const files = readdirSync(join(root, unit), { recursive: true, encoding: 'utf8' })
    .map((file) => posix.join(unit, ...file.split(sep)))
    .filter((file) => /\.(ts|mjs)$/.test(file) && !/\.(spec|d)\.ts$/.test(file));
  const known = new Set(files);
  return files.flatMap((from) =>
    // Each form of it: of types, of values, of nothing, `export … from`, `import()`.
    ts
      .preProcessFile(readFileSync(join(root, from), 'utf8'), true, true)
      .importedFiles.map(({ fileName }) => posix.join(posix.dirname(from), fileName))
      .map((to) => (known.has(to) ? to : to.replace(/\.js$/, '.ts')))
      .filter((to) => known.has(to))
      .map((to) => ({ from, to })),
  );
}

/**
 * For each import that is in no circle yet, the shortest circle through it.
 * @param {Import[]} imports @param {(file: string) => string} nodeOf @returns {Import[][]}
 */
function circlesAmong(imports, nodeOf) {
  /** @type {Map<string, Map<string, Import>>} */
  const edges = new Map();
  for (const each of imports) {
    const [from, to] = [nodeOf(each.from), nodeOf(each.to)];
    if (from === to) continue;
    const targets = edges.get(from) ?? new Map();
    edges.set(from, targets);
    if (!targets.has(to)) targets.set(to, each);
  }
  /** @type {Import[][]} */
  const circles = [];
  for (const [from, targets] of edges) {
    for (const [to, each] of targets) {
      if (circles.some((circle) => circle.includes(each))) continue;
      const back = shortestWay(edges, to, from);
      if (back) circles.push([each, ...back]);
    }
  }
  return circles;
}

/** @param {Map<string, Map<string, Import>>} edges @param {string} from @param {string} to */
function shortestWay(edges, from, to) {
  /** @type {Map<string, Import[]>} */
  const ways = new Map([[from, []]]);
  for (const [node, way] of ways) {
    if (node === to) return way;
    for (const [next, each] of edges.get(node) ?? []) if (!ways.has(next)) ways.set(next, [...way, each]);
  }
  return undefined;
}

const circles = findCircles(process.argv[2] ?? join(fileURLToPath(import.meta.url), '../..'));
for (const circle of circles) console.error(circle);
process.exitCode = circles.length > 0 ? 1 : 0;
