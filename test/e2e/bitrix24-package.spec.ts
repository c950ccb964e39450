import { execFile } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { silentLog } from '@relay/platform';
import { z } from 'zod';
import { type Simulator, startSimulator } from '../../apps/portal-simulator/src/simulator.js';
import { contactTypeId, dealTypeId, SimulatedPortal } from '../support/simulated-portal.js';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const lib = join(root, 'libs/bitrix24');
const tsc = join(root, 'node_modules/typescript/bin/tsc');
const manifest = z.object({
  name: z.string(),
  dependencies: z.record(z.string(), z.string()),
  devDependencies: z.record(z.string(), z.string()),
});
const { name, dependencies, devDependencies } = manifest.parse(readJson(join(lib, 'package.json')));

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'));
}

describe('the package of libs/bitrix24', () => {
  const folder = mkdtempSync(join(tmpdir(), 'relay-bitrix24-'));
  const project = join(folder, 'project');
  const installed = join(project, 'node_modules', name);
  let simulator: Simulator;

  /** As if it were installed in the project; from here, so that nothing is downloaded. */
  function link(dependency: string): void {
    const target = join(project, 'node_modules', dependency);
    mkdirSync(dirname(target), { recursive: true });
    symlinkSync(join(root, 'node_modules', dependency), target, 'dir');
  }

  beforeAll(async () => {
    simulator = await startSimulator({ port: 0, log: silentLog });
    // Packed from a copy without the rest of the repository around it.
    const copy = join(folder, 'lib');
    cpSync(lib, copy, { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'dir');
    const { stdout } = await run('npm', ['pack', '--json', '--offline'], { cwd: copy });
    const [packed] = z
      .array(z.object({ filename: z.string() }))
      .parse(JSON.parse(stdout.slice(stdout.indexOf('['))));
    mkdirSync(installed, { recursive: true });
    await run('tar', [
      '-xzf',
      join(copy, packed?.filename ?? ''),
      '-C',
      installed,
      '--strip-components',
      '1',
    ]);
    expect(readdirSync(copy)).not.toContain('dist');
    // Nothing but what the package names: a folder above is searched, too.
    rmSync(join(folder, 'node_modules'));
    for (const dependency of [...Object.keys(dependencies), '@types/node']) link(dependency);
    writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  });
  afterAll(async () => {
    await simulator.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('has what it needs, and nothing else', () => {
    expect(readdirSync(installed).toSorted()).toEqual(['README.md', 'dist', 'package.json']);
    const files = readdirSync(join(installed, 'dist'), { recursive: true, encoding: 'utf8' });
    expect(files).toEqual(expect.arrayContaining(['index.js', 'index.d.ts']));
    expect(files.filter((file) => file.includes('.spec.'))).toEqual([]);
    const ours = z.object({ dependencies: z.looseObject({}), devDependencies: z.looseObject({}) });
    expect(readJson(join(root, 'package.json'))).toMatchObject(ours.parse({ dependencies, devDependencies }));
  });

  it('says nothing of b24-relay in what others see of it', () => {
    const files = readdirSync(join(installed, 'dist'), { recursive: true, encoding: 'utf8' });
    const code = files.filter((file) => file.endsWith('.js'));
    expect(code.length).toBeGreaterThan(20);
    for (const file of code)
      expect(readFileSync(join(installed, 'dist', file), 'utf8')).not.toMatch(/relay/i);
  });

  it("runs the README's example in an empty project, types included", async () => {
    const portal = await SimulatedPortal.create(simulator.url, 'mine');
    await portal.add(dealTypeId, { title: 'Twelve lamps' });
    for (let count = 1; count <= 82; count += 1)
      await portal.add(contactTypeId, { lastName: `Number ${count}` });
    const [, example = ''] =
      /```ts\n([^]*?)```/.exec(readFileSync(join(installed, 'README.md'), 'utf8')) ?? [];
    writeFileSync(join(project, 'example.ts'), example);
    const options = { module: 'nodenext', target: 'ES2023', strict: true, types: ['node'] };
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: options }));
    await run(process.execPath, [tsc], { cwd: project });
    const { stdout, stderr } = await run(process.execPath, ['example.js'], {
      cwd: project,
      env: { B24_WEBHOOK: portal.webhookUrl, B24_ALLOW_HOSTS: new URL(simulator.url).host },
    });
    expect({ stdout, stderr }).toEqual({ stdout: '1 Twelve lamps\nNumber 82\n', stderr: '' });
  });
});
