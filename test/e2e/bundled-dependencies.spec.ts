import { expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** @returns what the program, in a module of its own beside the built gateway, prints */
function runBuilt(program: string): string {
  return execFileSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: join(root, 'dist/apps/gateway/src'),
    encoding: 'utf8',
  }).trim();
}

it('the built apps take their dependencies from the bundle, but for those that have to be one instance', () => {
  const paths = runBuilt(
    `import { createRequire } from 'node:module';
    const { resolve } = createRequire(process.cwd() + '/main.js');
    console.log(['typeorm', 'pg', 'prom-client', 'reflect-metadata', 'classic-level'].map((name) => resolve(name)).join());`,
  ).split(',');
  const isBundled = paths.map((path) => path.startsWith(join(root, 'dist/node_modules')));
  expect(isBundled).toEqual([true, true, false, false, false]);
});

it('classes keep the names that Nest and TypeORM know them by', () => {
  const names = runBuilt(
    `import { Logger, NotFoundException, HttpException } from '@nestjs/common';
    import { DataSource, QueryFailedError } from 'typeorm';
    import { Reflector, ModuleRef } from '@nestjs/core';
    console.log([Logger, NotFoundException, HttpException, DataSource, QueryFailedError, Reflector, ModuleRef].map(({ name }) => name).join());`,
  );
  expect(names).toBe(
    'Logger,NotFoundException,HttpException,DataSource,QueryFailedError,Reflector,ModuleRef',
  );
});
