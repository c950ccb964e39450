import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const CODEC = 'libs/events/src/message.js';

/**
 * The built apps as the next version would be: it writes messages of version 2, and reads those of both.
 * Everything else is as it is here.
 * @returns {Promise<{ dist: string, remove: () => Promise<void> }>} the folder that stands for `dist`
 */
export async function buildNextVersion() {
  const folder = await mkdtemp(join(tmpdir(), 'relay-next-'));
  const dist = join(folder, 'dist');
  await cp(join(root, 'dist'), dist, { recursive: true });
  await cp(join(root, 'package.json'), join(folder, 'package.json'));
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  const codec = await readFile(join(dist, CODEC), 'utf8');
  const next = replaceOnce(
    replaceOnce(codec, 'const VERSION = 1;', 'const VERSION = 2;'),
    "json['v'] !== VERSION",
    "![1, VERSION].includes(json['v'])",
  );
  await writeFile(join(dist, CODEC), next);
  return { dist, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** @param {string} text @param {string} what @param {string} by */
function replaceOnce(text, what, by) {
  if (text.split(what).length !== 2) throw new Error(`The codec has not one ${what}`);
  return text.replace(what, by);
}
