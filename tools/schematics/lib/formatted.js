import { format, getFileInfo } from 'prettier';
import { parseJson } from './parse-json.js';
import { Rejection } from './rejection.js';

const SETTINGS = '.prettierrc.json';

/**
 * A rule that formats the changed files, as `npm run format` would.
 * @param {(path: string) => boolean} isOurs @returns {import('@angular-devkit/schematics').Rule}
 */
export function formatted(isOurs) {
  return async (tree) => {
    const settings = tree.exists(SETTINGS) ? parseJson(SETTINGS, tree.readText(SETTINGS)) : {};
    /** @type {Set<string>} */
    const changed = new Set();
    for (const action of tree.actions)
      if (action.kind !== 'd' && isOurs(action.path)) changed.add(action.path);
    for (const path of changed) {
      const { inferredParser } = await getFileInfo(path);
      if (!inferredParser) continue;
      const text = tree.readText(path);
      tree.overwrite(path, await formatText(path, text, { ...settings, parser: inferredParser }));
    }
  };
}

/** @param {string} path @param {string} text @param {import('prettier').Options} options @throws {Rejection} */
async function formatText(path, text, options) {
  try {
    return await format(text, options);
  } catch (error) {
    const [first] = String(error).split('\n', 1);
    throw new Rejection(`${path.slice(1)} cannot be read, mend it first: ${first}`);
  }
}
