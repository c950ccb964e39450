import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** A file beside package.json: four folders above the sources, five above what is built. */
export function packageFile(name: string): string {
  const [inSources, inBuild] = ['../../../..', '../../../../..'].map((up) => join(import.meta.dirname, up));
  const root = inSources !== undefined && existsSync(join(inSources, 'package.json')) ? inSources : inBuild;
  return join(root ?? '.', name);
}
