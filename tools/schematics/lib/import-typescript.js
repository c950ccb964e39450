import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
// Not by the compiler of TypeScript, which takes half a second to load.
import { transformSync } from '@swc/core';

/**
 * Imports a module of the sources, which need not be built for it. Its relative imports come along; it may import no
 * package.
 * @param {string} path absolute
 * @returns {Promise<Record<string, unknown>>}
 */
export async function importTypeScript(path) {
  return import(dataUrlOf(path));
}

/** @param {string} path @returns {string} */
function dataUrlOf(path) {
  const { code: output } = transformSync(readFileSync(path, 'utf8'), {
    swcrc: false,
    configFile: false,
    module: { type: 'es6' },
    jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
  });
  const code = output.replace(
    /(\bfrom\s*|\bimport\s*)["'](\.{1,2}\/[^"']+)\.js["']/g,
    (_, keyword, target) => `${keyword}'${dataUrlOf(join(dirname(path), `${target}.ts`))}'`,
  );
  const source = `${code}\n//# sourceURL=${pathToFileURL(path).href}`;
  return `data:text/javascript;base64,${Buffer.from(source).toString('base64')}`;
}
