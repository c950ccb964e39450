import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { fastify, type FastifyInstance } from 'fastify';
import { addPageRoutes } from './page-routes.js';

describe('the operator page', () => {
  let api: FastifyInstance;
  let address: string;

  beforeAll(async () => {
    api = fastify();
    addPageRoutes(api);
    address = await api.listen({ port: 0, host: '127.0.0.1' });
  });
  afterAll(() => api.close());

  async function get(
    path: string,
  ): Promise<{ status: number; headers: Record<string, string>; body: string }> {
    const answer = await fetch(address + path);
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text() };
  }

  it.each(['/ops', '/ops/'])('is at %s, and may load nothing from elsewhere', async (url) => {
    const { status, headers, body } = await get(url);
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': expect.stringMatching(
        /^default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; /,
      ),
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    });
    expect(headers['content-security-policy']).not.toContain('unsafe');
    expect(body).not.toMatch(/https?:|<style|style=|\son\w+=|<script(?! type="module" src="\/ops\/page\/)/);
  });

  it('has all the files that it and its scripts name', async () => {
    const types: Record<string, string> = { mjs: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' };
    const named = new Set(['/ops/page/main.mjs']);
    const { body: page } = await get('/ops');
    for (const [, path = ''] of page.matchAll(/"(\/ops\/page\/[^"]+)"/g)) named.add(path);
    // Iteration over a set includes elements that are added meanwhile.
    for (const path of named) {
      const { status, headers, body } = await get(path);
      const type = types[path.split('.').at(-1) ?? ''] ?? 'of no kind';
      expect([path, status, headers['content-type']]).toEqual([path, 200, expect.stringContaining(type)]);
      expect(headers['x-content-type-options']).toBe('nosniff');
      for (const [, file = ''] of body.matchAll(/^(?:import|\}) .*from '([^']+)'/gm))
        named.add(new URL(file, `http://page${path}`).pathname);
    }
    expect([...named]).toEqual(expect.arrayContaining(['/ops/page/page.css', '/ops/page/texts.mjs']));
  });

  it.each([
    '/ops/page/nothing.css',
    '/ops/page/..%2fadmin-api.ts',
    '/ops/page/%2e%2e%2fadmin-api.ts',
    '/ops/page/',
  ])('does not serve %s', async (path) => expect((await get(path)).status).toBe(404));
});
