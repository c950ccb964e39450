import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const BUILT = /\.js(\.map)?$/;

/**
 * Removes what is built of the sources of an app or lib that are gone: a migration would still run. What has a source stays, for
 * another process may load it at any time.
 */
export function removeOrphanedOutput(root: string, project: string): void {
  for (const kind of ['apps', 'libs']) {
    const built = join(root, 'dist', kind, project);
    const names = existsSync(built) ? readdirSync(built, { recursive: true, encoding: 'utf8' }) : [];
    for (const name of names.filter((each) => BUILT.test(each)))
      if (!existsSync(join(root, kind, project, name.replace(BUILT, '.ts')))) rmSync(join(built, name));
  }
}
