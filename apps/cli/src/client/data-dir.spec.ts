import { startOf } from '@relay/platform';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { AdminClient } from './admin-client.js';
import { runDoctor } from '../doctor/doctor.js';

const bound = z.object({ port: z.number() });

/** Real: HTTP, the folder, the lock. Played here: the control plane, and the npm start, which is this process. */
describe('relay in a terminal that knows DATA_DIR alone', () => {
  let controlPlane: Server;
  let port: number;
  let told: (string | undefined)[];
  let dataDir: string;

  beforeAll(async () => {
    controlPlane = createServer((request, response) => {
      told.push(request.headers.authorization);
      response.end('{"ok":true}');
    });
    await once(controlPlane.listen(0, '127.0.0.1'), 'listening');
    ({ port } = bound.parse(controlPlane.address()));
  });
  afterAll(() => {
    controlPlane.close();
  });
  beforeEach(() => {
    told = [];
    dataDir = mkdtempSync(join(tmpdir(), 'relay-data-dir-'));
    writeFileSync(join(dataDir, 'secrets.env'), 'OPS_TOKEN=kept-by-npm-start\n');
  });
  afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

  const run = (): void => writeFileSync(join(dataDir, 'lock'), `${process.pid} ${startOf(process.pid)}\n`);
  const leave = (text: string): void => writeFileSync(join(dataDir, 'environment.json'), text);
  const ask = async (env: NodeJS.ProcessEnv = {}): Promise<unknown> =>
    AdminClient.fromEnvironment(true, { DATA_DIR: dataDir, ...env }).send('GET', '/journal');

  it('finds the npm start that runs there', async () => {
    run();
    leave(JSON.stringify({ OPS_PORT: String(port), TOKEN_KEYS: 'k1:x' }));
    expect(await ask()).toEqual({ ok: true });
    expect(await ask({ OPS_TOKEN: 'given' })).toEqual({ ok: true });
    expect(told).toEqual(['Bearer kept-by-npm-start', 'Bearer given']);
  });

  it('asks where OPS_PORT says, whatever is there', async () => {
    leave('{');
    expect(await ask({ OPS_PORT: String(port) })).toEqual({ ok: true });
  });

  it.each([
    ['no process', '4194304 1\n'],
    ['a later process with its id', `${process.pid} 1\n`],
    ['nobody', ''],
  ])('sends no token to the port of one that was killed, of which the lock names %s', async (_, lock) => {
    writeFileSync(join(dataDir, 'lock'), lock);
    leave(JSON.stringify({ OPS_PORT: String(port) }));
    await expect(ask()).rejects.toThrow(
      `${join(dataDir, 'environment.json')} is of an npm start that does not run any more: start it again, or set OPS_PORT.`,
    );
    const nowhere = { B24_OAUTH_URL: 'http://127.0.0.1:1', B24_ALLOW_HOSTS: '127.0.0.1' };
    const { text } = await runDoctor({ DATA_DIR: dataDir, ...nowhere });
    expect(text).toContain('✘ data directory: ');
    expect(text).toContain('does not run any more');
    expect(told).toEqual([]);
  });

  it('with a token of its own means another control plane, where npm start was killed', () => {
    leave(JSON.stringify({ OPS_PORT: String(port) }));
    expect(AdminClient.fromEnvironment(true, { DATA_DIR: dataDir, OPS_TOKEN: 'given' })).toMatchObject({
      url: 'http://127.0.0.1:9100/ops/api',
    });
  });

  it('sends no token of an npm start that was ended to the port that is usual', async () => {
    const env = { DATA_DIR: dataDir };
    expect(() => AdminClient.fromEnvironment(true, env)).toThrow(
      `No npm start runs with ${dataDir}: start it, or set OPS_PORT.`,
    );
    expect(await ask({ OPS_PORT: String(port) })).toEqual({ ok: true });
  });

  it('waits for no npm start that is starting', async () => {
    run();
    await expect(ask()).rejects.toThrow('has not started everything yet: wait, or set OPS_PORT.');
  });

  it.each([
    ['of half a file', () => leave('{"OPS_PORT": "30')],
    ['of an older version', () => leave('{"PORT": "3000"}')],
    ['without a port', () => leave('{"OPS_PORT": "0"}')],
    ['with an address', () => leave('{"OPS_PORT": "80@attacker.example"}')],
    ['of another form', () => leave('["3001"]')],
    ['that is too large', () => leave(JSON.stringify({ OPS_PORT: String(port), more: 'x'.repeat(65_536) }))],
    ['that is a folder', () => mkdirSync(join(dataDir, 'environment.json'))],
    ['that is a pipe', () => void execFileSync('mkfifo', [join(dataDir, 'environment.json')])],
  ])('says so of a file %s', async (_, damage) => {
    run();
    damage();
    await expect(ask()).rejects.toThrow('environment.json does not say where the control plane is');
    expect(told).toEqual([]);
  });
});
