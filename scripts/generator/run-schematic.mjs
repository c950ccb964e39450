import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * One file of the repository that is made, changed or (then there is no content) deleted, a folder with all that it has.
 * @typedef {{ path: string, content?: Uint8Array }} Change
 */

/**
 * What a schematic of `tools/schematics` would do; nothing is written.
 * @param {string} root of the repository, the working folder
 * @param {string} schematic
 * @param {object} options
 * @returns {Promise<Change[]>}
 * @throws whatever the schematic throws
 */
export async function planSchematic(root, schematic, options) {
  const NodeWorkflow = await loadWorkflow();
  const workflow = new NodeWorkflow(root, { dryRun: true, resolvePaths: [root] });
  /** @type {Change[]} */
  const changes = [];
  workflow.reporter.subscribe((event) => {
    const path = event.path.replace(/^\//, '');
    if (event.kind === 'create' || event.kind === 'update')
      changes.push({ path, content: new Uint8Array(event.content) });
    if (event.kind === 'delete') changes.push({ path });
  });
  const collection = join(root, 'tools/schematics');
  await workflow.execute({ collection, schematic, options, allowPrivate: true }).toPromise();
  return changes;
}

/**
 * Writes all files, or none: if one cannot be written, those before it are as they were.
 * @param {string} root @param {readonly Change[]} changes
 */
export function writeFiles(root, changes) {
  for (const signal of SIGNALS) process.on(signal, afterwards);
  try {
    writeContents(root, changes);
    // Last, for it cannot be undone.
    for (const { path, content } of changes)
      if (content === undefined) rmSync(join(root, path), { recursive: true, force: true });
  } finally {
    for (const signal of SIGNALS) process.off(signal, afterwards);
  }
}

/** @param {string} root @param {readonly Change[]} changes */
function writeContents(root, changes) {
  /** @type {(() => void)[]} */
  const undo = [];
  try {
    for (const { path, content } of changes) {
      if (content === undefined) continue;
      const file = join(root, path);
      const before = readIfThere(file);
      const made = mkdirSync(dirname(file), { recursive: true });
      undo.push(() => {
        if (before === undefined) rmSync(file, { force: true });
        else writeFileSync(file, before);
        if (made !== undefined) rmSync(made, { recursive: true });
      });
      writeFileSync(file, content);
    }
  } catch (error) {
    for (const step of undo.toReversed()) step();
    throw error;
  }
}

/** What ends a command: Ctrl-C, a supervisor, and a terminal that is closed. */
const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);

/** None of them ends it half way: all is written without a pause. */
function afterwards() {}

/** @param {string} file */
function readIfThere(file) {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ? readFileSync(file) : undefined;
}

/** Not imported at the top: on a fresh clone nothing is installed, and a stack of Node's loader does not say what to do. */
async function loadWorkflow() {
  try {
    return (await import('@angular-devkit/schematics/tools/index.js')).NodeWorkflow;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND')) throw error;
    throw Object.assign(new Error('packages are missing: run `npm ci`, then this again', { cause: error }), {
      name: 'Rejection',
    });
  }
}
