import { describe, expect, it } from '@jest/globals';
import { domainOf, isSameHost } from './portal-domain.js';

describe('the domain of a proved address', () => {
  it.each([
    ['https://acme.bitrix24.com/rest/', 'acme.bitrix24.com'],
    ['https://ACME.Bitrix24.com./rest/', 'acme.bitrix24.com'],
    ['https://acme.bitrix24.com/rest/1/webhook-secret/', 'acme.bitrix24.com'],
    ['https://crm.company.example:8443/rest/', 'crm.company.example:8443'],
    ['https://портал.рф/rest/', 'xn--80awhdgm.xn--p1ai'],
    ['http://10.0.0.7/rest/', '10.0.0.7'],
    ['http://[fd00::1]:8080/rest/', '[fd00::1]:8080'],
    ['http://localhost:8080/portals/demo/rest/', 'demo.localhost:8080'],
    ['http://localhost:8080/portals/demo/rest/1/demo/', 'demo.localhost:8080'],
  ])('of %s is %s', (endpoint, domain) => {
    expect(domainOf(endpoint)).toBe(domain);
  });

  it.each([
    `https://a'b.example/rest/`,
    'https://a!b/rest/',
    'no address',
    `https://${'a.'.repeat(200)}b/rest/`,
  ])('is none where the host is none: %s', (endpoint) => {
    expect(domainOf(endpoint)).toBeUndefined();
  });

  it('takes nothing from a path that is no label', () => {
    for (const part of ['%1b%5b2J', 'a.b', '..%2f', 'a'.repeat(63), '-']) {
      expect(domainOf(`https://acme.example/${part}/rest/`)).toBe('acme.example');
    }
  });
});

describe('two addresses', () => {
  it('are of one host, whatever their ports', () => {
    expect(isSameHost('https://acme.example:8443/rest/', 'https://acme.example/rest/1/secret/')).toBe(true);
    expect(isSameHost('https://acme.example/rest/', 'https://other.example/rest/1/secret/')).toBe(false);
    expect(isSameHost('http://localhost/portals/one/rest/', 'http://localhost/portals/two/rest/1/s/')).toBe(
      false,
    );
    expect(isSameHost('no address', 'no address')).toBe(false);
  });
});
