import { parseConsumerName } from '../lib/consumer-name.js';
import { formatted } from '../lib/formatted.js';
import { Rejection } from '../lib/rejection.js';
import { REGISTRATIONS } from '../lib/registrations.js';

/**
 * Takes away the app's folder and its entries.
 * @param {{ name?: string }} options @returns {import('@angular-devkit/schematics').Rule}
 */
export function removeConsumer({ name: given }) {
  return async (tree) => {
    const name = parseConsumerName(given);
    if (!tree.exists(`apps/${name}/src/consumer.ts`))
      throw new Rejection(`apps/${name} is no consumer: there is no apps/${name}/src/consumer.ts`);
    requireUnused(tree, name);
    tree.delete(`apps/${name}`);
    for (const { file, remove } of REGISTRATIONS) tree.overwrite(file, remove(tree.readText(file), name));
    return formatted((path) => REGISTRATIONS.some(({ file }) => path === `/${file}`));
  };
}

/**
 * `npm start` would not start any more.
 * @param {import('@angular-devkit/schematics').Tree} tree @param {string} name @throws {Rejection}
 */
function requireUnused(tree, name) {
  const used = new RegExp(`['"](?:\\.\\./)+(?:apps/)?${name}/src/`);
  tree.getDir('apps').visit((path) => {
    if (path.startsWith(`/apps/${name}/`) || !/\.(ts|mjs|js)$/.test(path)) return;
    if (used.test(tree.readText(path)))
      throw new Rejection(`apps/${name} is used by ${path.slice(1)}: take its import away there first`);
  });
}
