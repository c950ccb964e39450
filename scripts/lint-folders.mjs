// Finds circles among the files and among the folders of each lib, app, example and tool (`npm run lint`). Imports of types count:
// a folder that can be moved alone needs none of its own importers. Specs are left out. Finds imports of what is for specs
// alone, too; what else may not be imported from another lib or app, .oxlintrc.json says.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** @typedef {{ from: string, to: string }} Import */

/** @param {string} root @returns {string[]} a text for each circle, with the imports that make it */
function findCircles(root) {
  return ['apps', 'examples', 'libs', 'tools'].flatMap((kind) =>
    namesIn(join(root, kind)).flatMap((name) => circlesOf(root, posix.join(kind, name))),
  );
}

/** @param {string} folder */
function namesIn(folder) {
  const entries = existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : [];
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .toSorted();
}

/** @param {string} root @param {string} unit a lib, an app or a tool */
function circlesOf(root, unit) {
  const imports = importsOf(root, unit);
  const ofFiles = circlesAmong(imports, (file) => file);
  // A circle of files is told once.
  const told = new Set(ofFiles.flat());
  const others = imports.filter((each) => !told.has(each));
  const ofFolders = circlesAmong(others, (file) => posix.dirname(file));
  for (const circle of ofFolders) for (const each of circle) told.add(each);
  // A folder with all that is in it, beside its neighbours: what lies deep in one may need another, which needs the first.
  for (const parent of foldersOf(imports)) {
    const rest = imports.filter((each) => !told.has(each));
    const ofTrees = circlesAmong(rest, (file) => childOf(parent, file));
    for (const circle of ofTrees) for (const each of circle) told.add(each);
    ofFolders.push(...ofTrees);
  }
  return [
    ...ofFiles.map((circle) => textOf('files', circle)),
    ...ofFolders.map((circle) => textOf('folders', circle)),
  ];
}

/** @param {Import[]} imports @returns {Set<string>} all folders that hold one of the files, however deep */
function foldersOf(imports) {
  const folders = new Set();
  for (const { from, to } of imports) {
    for (let file of [from, to]) {
      while (file.includes('/')) folders.add((file = posix.dirname(file)));
    }
  }
  return folders;
}

/** @param {string} parent @param {string} file @returns {string | undefined} the folder in `parent` that holds the file */
function childOf(parent, file) {
  const [name, ...rest] = file.startsWith(`${parent}/`) ? file.slice(parent.length + 1).split('/') : [];
  return rest.length > 0 ? name : undefined;
}

/** @param {string} what @param {Import[]} circle */
function textOf(what, circle) {
  return [`circle of ${what}:`, ...circle.map(({ from, to }) => `  ${from} imports ${to}`)].join('\n');
}

/** @param {string} root @param {string} unit @returns {Import[]} */
function importsOf(root, unit) {
  const files = sourcesIn(root, unit).filter((file) => !/\.(spec|d)\.ts$/.test(file));
  const known = new Set(files);
  return files.flatMap((from) =>
    importsIn(root, from)
      .map((fileName) => posix.join(posix.dirname(from), fileName))
      .map((to) => (known.has(to) ? to : to.replace(/\.js$/, '.ts')))
      .filter((to) => known.has(to))
      .map((to) => ({ from, to })),
  );
}

/** @param {string} root @param {string} folder @returns {string[]} paths below the root, with `/` */
function sourcesIn(root, folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => posix.join(folder, ...file.split(sep)))
    .filter((file) => /\.(ts|mjs|js|vue)$/.test(file));
}

/** Each form of them: of types, of values, of nothing, `export … from`, `import()`. @param {string} root @param {string} file */
function importsIn(root, file) {
  const text = readFileSync(join(root, file), 'utf8');
  const scripts = file.endsWith('.vue')
    ? [...text.matchAll(/<script[^>]*>(.*?)<\/script>/gs)].map(([, script = '']) => script)
    : [text];
  return scripts.flatMap((script) =>
    ts.preProcessFile(script, true, true).importedFiles.map(({ fileName }) => fileName),
  );
}

/**
 * For each import that is in no circle yet, the shortest circle through it.
 * @param {Import[]} imports @param {(file: string) => string | undefined} nodeOf undefined: not looked at @returns {Import[][]}
 */
function circlesAmong(imports, nodeOf) {
  /** @type {Map<string, Map<string, Import>>} */
  const edges = new Map();
  for (const each of imports) {
    const [from, to] = [nodeOf(each.from), nodeOf(each.to)];
    if (from === undefined || to === undefined || from === to) continue;
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

/**
 * What is for specs alone, with those who may import it besides. The kit brings a simulated Bitrix24 and a bus that forgets: no
 * app may come to it by a slip.
 */
const FOR_SPECS = [
  { target: /^@relay\/testing$/, importers: /^(libs\/testing|examples)\// },
  { target: /^libs\/bus\/src\/memory\//, importers: /^(libs\/testing|libs\/bus\/src\/memory)\// },
];
const SPECS = /\.spec\.ts$|^test\/|^(apps|libs)\/[^/]+\/test\//;

/** @param {string} root @returns {string[]} a text for each import that only specs may make */
function findKitImports(root) {
  return ['apps', 'libs', 'tools', 'scripts', 'bench'].flatMap((folder) =>
    sourcesIn(root, folder)
      .filter((file) => !SPECS.test(file))
      .flatMap((from) => importsIn(root, from).map((named) => ({ from, to: resolved(from, named) })))
      .filter(({ from, to }) =>
        FOR_SPECS.some(({ target, importers }) => target.test(to) && !importers.test(from)),
      )
      .map(({ from, to }) => `only specs may import ${to}: ${from} does`),
  );
}

/** @param {string} from @param {string} named */
function resolved(from, named) {
  return named.startsWith('.') ? posix.join(posix.dirname(from), named) : named;
}

const root = process.argv[2] ?? join(fileURLToPath(import.meta.url), '../..');
const found = [...findCircles(root), ...findKitImports(root)];
for (const each of found) console.error(each);
process.exitCode = found.length > 0 ? 1 : 0;
