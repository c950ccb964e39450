import { format, getFileInfo } from 'prettier';

/**
 * A rule that formats the changed files, as `npm run format` would.
 * @param {(path: string) => boolean} isOurs @returns {import('@angular-devkit/schematics').Rule}
 */
export function formatted(isOurs) {
  return async (tree) => {
    const settings = JSON.parse(tree.readText('.prettierrc.json'));
    /** @type {Set<string>} */
    const changed = new Set();
    for (const action of tree.actions)
      if (action.kind !== 'd' && isOurs(action.path)) changed.add(action.path);
    for (const path of changed) {
      const { inferredParser } = await getFileInfo(path);
      if (!inferredParser) continue;
      const text = tree.readText(path);
      tree.overwrite(path, await format(text, { ...settings, parser: inferredParser }));
    }
  };
}
