import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ancestorsOf, FramedPage } from './framed-page.js';
import { html, page } from './html.js';
import { anonymousText, installText, rejectionPage, statusText } from './page-texts.js';

const portal = {
  memberId: 'm1',
  domain: '<script>alert(1)</script>"\'&',
  clientEndpoint: 'https://one.bitrix24.com/rest/',
  state: 'installed' as const,
  tokenHashes: [Buffer.from('secret-hash')],
  appTokenHashes: [Buffer.from('secret-hash')],
  language: 'en',
  settings: {},
};

describe('markup', () => {
  it('escapes every value, and leaves markup as it is', () => {
    const inner = html`<b>${'<&"\'>'}</b>`;
    expect(html`<p title="${'"'}">${inner}${[inner, inner]}${3}</p>`.source).toBe(
      `<p title="&#34;">${'<b>&#60;&#38;&#34;&#39;&#62;</b>'.repeat(3)}3</p>`,
    );
  });
});

describe('a page without script', () => {
  const pages = [
    page(statusText(portal, [])),
    page(anonymousText()),
    rejectionPage(401, 'not-confirmed'),
    rejectionPage(503, 'not-finished'),
  ];

  it.each(pages)('runs none, and lets nothing in that its headers do not name (%#)', ({ headers, body }) => {
    const policy = headers['content-security-policy'] ?? '';
    expect(policy).toContain(`script-src 'none';`);
    expect(body).not.toMatch(/<script|BX24|\son\w+=/i);
    for (const [, inline = ''] of body.matchAll(/<style>(.*?)<\/style>/gs)) {
      expect(policy).toContain(`'sha256-${createHash('sha256').update(inline).digest('base64')}'`);
    }
    expect(policy).toMatch(/^default-src 'none'; .*base-uri 'none'; form-action 'none'$/);
    expect(policy).not.toContain('unsafe');
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'content-type': 'text/html; charset=utf-8',
    });
  });

  it.each([
    [503, 'oauth-unreachable', /in a minute/],
    [503, 'endpoint-not-allowed', /B24_ALLOW_HOSTS/],
    [503, 'no-client-id', /B24_CLIENT_ID/],
    [401, 'not-confirmed', /did not confirm/],
    [401, 'not-an-administrator', /administrator/],
    [400, 'missing-field', /as an application in Bitrix24/],
  ])('of a rejection with %d %s says what to do', (status, reason, advice) => {
    const rejection = rejectionPage(status, reason);
    expect(rejection).toMatchObject({ status, body: expect.stringMatching(advice) });
    expect('retry-after' in rejection.headers).toBe(status === 503);
  });
});

describe('the page in the frame', () => {
  const template = `<!doctype html><html lang="en"><head><title>b24-relay</title>
    <script type="module" crossorigin src="/b24/page/index-1a2b.js"></script></head><body><div id="app"></div></body></html>`;
  let folder: string;
  let framed: FramedPage;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'relay-page-'));
    writeFileSync(join(folder, 'index.html'), template);
    framed = new FramedPage(folder);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('has its script, and its policy names nothing but its own files and the portals that may frame it', () => {
    const ancestors = ancestorsOf(portal, { language: 'de', origin: 'https://crm.example.com' });
    const { headers, body } = framed.render({ kind: 'install', ...installText(), language: 'de', ancestors });
    expect(headers['content-security-policy']).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; " +
        "frame-ancestors https://one.bitrix24.com https://crm.example.com; require-trusted-types-for 'script'; trusted-types vue",
    );
    expect(body.match(/<\/?html[^>]*>/g)).toEqual(['<html lang="de">', '</html>']);
    expect(body).toContain('<div id="app" data-page="install">');
    expect(body.match(/<script[^>]*>/g)).toEqual([
      '<script type="module" crossorigin src="/b24/page/index-1a2b.js">',
    ]);
  });

  it('shows the names of portal and consumers as the text that they are', () => {
    const text = statusText(portal, [{ consumer: "<i>$&$'", wanted: 3, bound: 2 }]);
    const { body } = framed.render({ kind: 'app', ...text, ancestors: ['https://one.bitrix24.com'] });
    expect(body).toContain('&#60;script&#62;');
    expect(body).toContain('&#60;i&#62;$&#38;$&#39;');
    expect(body).toContain('2 of 3 events bound');
    expect(body).not.toMatch(/<i>|secret-hash|m1|alert\(1\)<\/script>/);
  });

  it('is one without script where nobody may frame it, and where it is not built', () => {
    const text = { kind: 'app', ...anonymousText() } as const;
    for (const { headers, body } of [
      framed.render({ ...text, ancestors: [] }),
      new FramedPage(join(folder, 'nothing')).render({ ...text, ancestors: ['https://one.bitrix24.com'] }),
    ]) {
      expect(headers['content-security-policy']).toContain(`script-src 'none';`);
      expect(body).toContain('works in the background');
    }
  });

  it('does not start without what it fills in', () => {
    const broken = mkdtempSync(join(tmpdir(), 'relay-page-'));
    writeFileSync(join(broken, 'index.html'), template.replace('id="app"', 'id="other"'));
    expect(() => new FramedPage(broken)).toThrow('<div id="app"></div>');
    rmSync(broken, { recursive: true });
  });
});
