import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

const run = promisify(execFile);
const installing = 'b24-relay: installing packages …\n';
const building = 'b24-relay: building …\n';

/** Of a repository as small as can be, with a build that copies: the real npm installs and builds it. */
describe('prepare, before npm start', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'relay-prepare-'));
    const script = join(import.meta.dirname, '../../scripts/prepare.mjs');
    cpSync(script, join(folder, 'scripts/prepare.mjs'));
    write('local/package.json', JSON.stringify({ name: 'local', version: '1.0.0' }));
    writeProject('1.0.0');
    write('apps/one/src/main.ts', '1');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function write(path: string, text: string): void {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), text);
  }

  function writeProject(localVersion: string): void {
    const build =
      "fs.rmSync('dist',{recursive:true,force:true});fs.cpSync('apps/one/src/main.ts','dist/apps/one/src/main.js');fs.writeFileSync('arguments',process.argv.slice(1).join())";
    const project = { name: 'small', version: '1.0.0', dependencies: { local: 'file:local' } };
    write(
      'package.json',
      JSON.stringify({ ...project, engines: { node: '>=20.19' }, scripts: { build: `node -e "${build}"` } }),
    );
    write('local/package.json', JSON.stringify({ name: 'local', version: localVersion }));
    const packages = {
      '': project,
      local: { version: localVersion },
      'node_modules/local': { resolved: 'local', link: true },
      'node_modules/for-another-platform': { version: '1.0.0', optional: true, os: ['none'] },
    };
    write(
      'package-lock.json',
      JSON.stringify({ name: 'small', version: '1.0.0', lockfileVersion: 3, packages }),
    );
  }

  async function prepare(): Promise<string> {
    const { stdout } = await run(process.execPath, [join(folder, 'scripts/prepare.mjs')], { cwd: tmpdir() });
    return stdout;
  }

  it('installs and builds on a fresh clone, and then has nothing to do', async () => {
    expect(await prepare()).toBe(installing + building);
    expect(await prepare()).toBe('');
  });

  it('has nothing to do in the repository of which this run is: it would take the build from under other specs', async () => {
    const script = join(import.meta.dirname, '../../scripts/prepare.mjs');
    await expect(run(process.execPath, [script, '--check'])).resolves.toEqual({ stdout: '', stderr: '' });
  });

  it('builds again when a source is newer than what was built of it', async () => {
    await prepare();
    const later = new Date(Date.now() + 60_000);
    utimesSync(join(folder, 'apps/one/src/main.ts'), later, later);
    expect(await prepare()).toBe(building);
  });

  it.each([
    ['an app', 'dist/apps/gone/src/main.js'],
    ['a migration', 'dist/apps/one/src/migrations/1-gone.js'],
  ])('builds again when %s is gone, of which the build would still run', async (_, built) => {
    await prepare();
    write(built, '1');
    expect(await prepare()).toBe(building);
    expect(await prepare()).toBe('');
  });

  it('builds again when a part of a page is newer than the page, whose built files have other names', async () => {
    write('apps/console/src/page/index.html', '1');
    write('apps/console/src/page/main.ts', '1');
    expect(await prepare()).toContain(building);
    expect(await prepare()).toBe(building);
    const built = join(folder, 'dist/apps/console/page/index.html');
    write('dist/apps/console/page/index.html', '1');
    const later = new Date(Date.now() + 60_000);
    utimesSync(built, later, later);
    expect(await prepare()).toBe('');
    const latest = new Date(Date.now() + 120_000);
    utimesSync(join(folder, 'apps/console/src/page/main.ts'), latest, latest);
    expect(await prepare()).toBe(building);
  });

  it('leaves the pages as they are while only code has changed', async () => {
    write('apps/console/src/page/index.html', '1');
    expect(await prepare()).toContain(building);
    expect(readFileSync(join(folder, 'arguments'), 'utf8')).toBe('');
    write('dist/apps/console/page/index.html', '1');
    const later = new Date(Date.now() + 60_000);
    utimesSync(join(folder, 'apps/one/src/main.ts'), later, later);
    expect(await prepare()).toBe(building);
    expect(readFileSync(join(folder, 'arguments'), 'utf8')).toBe('without-pages');
  });

  it('installs again when the lock asks for another version than is there', async () => {
    await prepare();
    writeProject('2.0.0');
    expect(await prepare()).toContain(installing);
  });

  it('says what failed, and ends with 1', async () => {
    write('package-lock.json', '{"packages":{"node_modules/gone":{"version":"1.0.0"}}}');
    await expect(prepare()).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('b24-relay: installing packages failed: `npm ci'),
    });
  });

  it('says that Node is too old', async () => {
    write('package.json', JSON.stringify({ engines: { node: '>=99.1' } }));
    await expect(prepare()).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^b24-relay: Node \S+ is too old: install 99\.1 or newer .+\n$/),
    });
  });
});
