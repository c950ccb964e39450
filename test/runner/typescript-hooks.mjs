/**
 * Node's hooks for modules in TypeScript (https://nodejs.org/docs/latest-v20.x/api/module.html#customization-hooks): compiled as
 * the build does, but in place, so that a spec finds what is beside it. What was compiled stays for other worker processes
 * and runs.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { transformSync, version } from '@swc/core';
import { CACHE, compiledPath, ROOT } from './compiled.mjs';

const OURS = pathToFileURL(`${ROOT}/`).href;
const swcrc = readFileSync(join(ROOT, '.swcrc'), 'utf8');
/** @type {import('@swc/core').Options} */
const options = { ...JSON.parse(swcrc), swcrc: false, configFile: false };
mkdirSync(CACHE, { recursive: true });

/**
 * What one of our modules imports of ours has its query, which is that of its spec file: so each spec file has modules of its own.
 * @type {import('node:module').ResolveHook}
 */
export async function resolve(specifier, context, next) {
  if (specifier === '@jest/globals')
    return { url: new URL('./jest-globals.mjs', import.meta.url).href, shortCircuit: true };
  const importer =
    context.parentURL !== undefined && isOurs(context.parentURL) ? new URL(context.parentURL) : undefined;
  const { url, ...rest } = typescriptOf(specifier, importer) ?? (await next(specifier, context));
  return { ...rest, url: importer && isOurs(url) && /\.m?[jt]s$/.test(url) ? url + importer.search : url };
}

/** @type {import('node:module').LoadHook} */
export async function load(url, context, next) {
  const { pathname } = new URL(url);
  if (!pathname.endsWith('.ts') || pathname.includes('/node_modules/')) return next(url, context);
  return { format: 'module', source: compile(fileURLToPath(new URL(pathname, 'file:'))), shortCircuit: true };
}

/** @param {string} specifier @param {URL | undefined} importer */
function typescriptOf(specifier, importer) {
  const library = /^@relay\/([^/]+)$/.exec(specifier)?.[1];
  if (library !== undefined)
    return { url: new URL(`libs/${library}/src/index.ts`, OURS).href, shortCircuit: true };
  if (specifier === '@relay/admin-contract/texts')
    return { url: new URL('libs/admin-contract/src/texts.mjs', OURS).href, shortCircuit: true };
  if (!importer || !/^\.{1,2}\/.*\.js$/.test(specifier)) return undefined;
  const url = new URL(specifier.replace(/js$/, 'ts'), new URL(importer.pathname, importer));
  return existsSync(url) ? { url: url.href, shortCircuit: true } : undefined;
}

/** @param {string} url */
function isOurs(url) {
  return url.startsWith(OURS) && !url.includes('/node_modules/');
}

/** @param {string} path @returns {string} */
function compile(path) {
  const source = readFileSync(path, 'utf8');
  const head = `//${createHash('sha256').update(`${version}\n${swcrc}\n${source}`).digest('hex')}\n`;
  const kept = compiledPath(path);
  if (existsSync(kept)) {
    const code = readFileSync(kept, 'utf8');
    if (code.startsWith(head)) return code;
  }
  const { code, map = '{}' } = transformSync(source, { ...options, filename: path });
  const { mappings, ...rest } = JSON.parse(map);
  // The code begins in the second line.
  keep(`${kept}.map`, JSON.stringify({ ...rest, mappings: `;${mappings}` }));
  keep(kept, head + code);
  return head + code;
}

/** Whole or not at all: other worker processes read it. @param {string} path @param {string} text */
function keep(path, text) {
  const temporary = `${path}.${process.pid}-${Math.random()}`;
  writeFileSync(temporary, text);
  renameSync(temporary, path);
}
