import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { fastify, type FastifyInstance } from 'fastify';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addPageRoutes } from './page-routes.js';

/** The files of the built console itself: test/browser/operator-page.spec.ts. */
describe('the routes of the console', () => {
  let folder: string;
  let api: FastifyInstance;
  let address: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'relay-console-'));
    for (const name of ['index.html', 'index-1a2b.js', 'index-1a2b.css', 'icon-1a2b.svg', 'notes.txt'])
      writeFileSync(join(folder, name), name);
    api = fastify();
    addPageRoutes(api, folder);
    address = await api.listen({ port: 0, host: '127.0.0.1' });
  });
  afterAll(async () => {
    await api.close();
    rmSync(folder, { recursive: true });
  });

  it.each(['/ops', '/ops/'])('serve it at %s, and it may load nothing from elsewhere', async (url) => {
    const { status, headers } = await fetch(address + url);
    expect(status).toBe(200);
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': expect.stringMatching(
        /^default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; /,
      ),
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    });
    expect(headers.get('content-security-policy')).not.toContain('unsafe');
  });

  it.each([
    ['index-1a2b.js', 'text/javascript; charset=utf-8'],
    ['index-1a2b.css', 'text/css; charset=utf-8'],
    ['icon-1a2b.svg', 'image/svg+xml'],
  ])('serve %s as what it is', async (name, type) => {
    const { status, headers } = await fetch(`${address}/ops/page/${name}`);
    expect([status, headers.get('content-type')]).toEqual([200, type]);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  it.each([
    '/ops/page/nothing.css',
    '/ops/page/notes.txt',
    '/ops/page/..%2fpage-routes.ts',
    '/ops/page/%2e%2e%2fpage-routes.ts',
    '/ops/page/',
  ])('do not serve %s', async (path) => expect((await fetch(address + path)).status).toBe(404));

  it('say what is missing where it is not built', async () => {
    const without = fastify();
    addPageRoutes(without, join(folder, 'nothing'));
    const answer = await fetch(`${await without.listen({ port: 0, host: '127.0.0.1' })}/ops`);
    const said = await answer.json();
    await without.close();
    expect([answer.status, said]).toEqual([503, { error: 'The console is not built: `npm run build`' }]);
  });
});
