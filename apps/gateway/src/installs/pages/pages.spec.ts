import { describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { html } from './html.js';
import { anonymousPage, installPage, rejectionPage, statusPage } from './pages.js';

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

describe('a page', () => {
  const pages = [
    statusPage(portal, []),
    anonymousPage(),
    rejectionPage(401, 'not-confirmed'),
    rejectionPage(503, 'not-finished'),
  ];

  it.each(pages)('that tells nothing to Bitrix24 runs no script (%#)', ({ headers, body }) => {
    expect(headers['content-security-policy']).toContain(`script-src 'none';`);
    expect(body).not.toMatch(/<script|BX24|\son\w+=/i);
  });

  it.each([...pages, installPage()])(
    'lets nothing in that its headers do not name (%#)',
    ({ headers, body }) => {
      const policy = headers['content-security-policy'] ?? '';
      for (const [, inline = ''] of body.matchAll(/<(?:style|script)>(.*?)<\/(?:style|script)>/gs)) {
        expect(policy).toContain(`'sha256-${createHash('sha256').update(inline).digest('base64')}'`);
      }
      expect(policy).toMatch(/^default-src 'none'; .*base-uri 'none'; form-action 'none'$/);
      expect(policy).not.toContain('unsafe');
      expect(headers).toMatchObject({
        'cache-control': 'no-store',
        'content-type': 'text/html; charset=utf-8',
      });
    },
  );

  it('loads the library of Bitrix24 and ends the installation, where the install is confirmed', () => {
    const { status, body } = installPage();
    expect(status).toBe(200);
    expect(body).toContain('<script src="https://api.bitrix24.com/api/v1/"></script>');
    expect(body.match(/installFinish/g)).toHaveLength(1);
  });

  it('shows the names of portal and consumers as the text that they are', () => {
    const { body } = statusPage(portal, [{ consumer: '<i>', wanted: 3, bound: 2 }]);
    expect(body).toContain('&#60;script&#62;');
    expect(body).toContain('2 of 3 events bound');
    expect(body).not.toMatch(/<i>|secret-hash|m1/);
  });

  it.each([
    [503, 'oauth-unreachable', /in a minute/],
    [503, 'endpoint-not-allowed', /B24_ALLOW_HOSTS/],
    [503, 'no-client-id', /B24_CLIENT_ID/],
    [401, 'not-confirmed', /did not confirm/],
    [401, 'not-an-administrator', /administrator/],
    [400, 'missing-field', /as an application in Bitrix24/],
  ])('of a refusal with %d %s says what to do', (status, reason, advice) => {
    const refusal = rejectionPage(status, reason);
    expect(refusal).toMatchObject({ status, body: expect.stringMatching(advice) });
    expect('retry-after' in refusal.headers).toBe(status === 503);
  });
});
