import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { AddressError, assertCallable } from './ssrf-guard.js';

function rejectionOf(address: string, allowHosts: string[] = []): AddressError | undefined {
  try {
    assertCallable(address, allowHosts);
    return undefined;
  } catch (error) {
    if (error instanceof AddressError) return error;
    throw error;
  }
}

function reasonFor(address: string, allowHosts: string[] = []): string {
  return rejectionOf(address, allowHosts)?.reason ?? 'callable';
}

describe('an address', () => {
  it('of a public portal is callable and ends in a slash', () => {
    expect(assertCallable('https://Portal.bitrix24.com/rest', [])).toBe('https://portal.bitrix24.com/rest/');
    expect(reasonFor('https://crm.example.com:8443/rest/')).toBe('callable');
    expect(reasonFor('https://93.184.216.34/rest/')).toBe('callable');
    expect(reasonFor('https://[2606:4700::1111]/rest/')).toBe('callable');
  });

  it.each([
    '',
    'portal.bitrix24.com',
    '/rest/',
    'https://',
    'ftp://portal.bitrix24.com/',
    'file:///etc/passwd',
    'javascript:1',
  ])('is rejected when it is no web address: %s', (address) => expect(reasonFor(address)).toBe('not-a-url'));

  it('is rejected with credentials, a query or a fragment', () => {
    expect(reasonFor('https://user:word@portal.bitrix24.com/rest/')).toBe('has-credentials');
    expect(reasonFor('https://portal.bitrix24.com@evil.example/rest/')).toBe('has-credentials');
    expect(reasonFor('https://portal.bitrix24.com/rest/?a=1')).toBe('has-query');
    expect(reasonFor('https://portal.bitrix24.com/rest/#a')).toBe('has-query');
  });

  it('is rejected over plain http', () => {
    expect(reasonFor('http://portal.bitrix24.com/rest/')).toBe('not-https');
  });

  it.each([
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f.0.0.1',
    '017700000001',
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '[::]',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:8.8.8.8]',
    '[64:ff9b::a00:1]',
    '[fc00::1]',
    '[fd12:3456::1]',
    '[fe80::1]',
    '[ff02::1]',
    '[2002:7f00:1::]',
    '[2001::1]',
    'localhost',
    'LOCALHOST',
    'localhost.',
    'portal.localhost',
    'rabbitmq',
    '１２７.0.0.1',
  ])('is rejected when its host is not public: %s', (host) => {
    expect(reasonFor(`https://${host}/rest/`)).toBe('private-host');
  });

  it('may be plain http and private if its host is allowed', () => {
    expect(assertCallable('http://127.0.0.1:8080/rest/', ['127.0.0.1:8080'])).toBe(
      'http://127.0.0.1:8080/rest/',
    );
    expect(reasonFor('http://localhost:8080/rest/', ['localhost'])).toBe('callable');
    expect(reasonFor('https://portal.lan/rest/', ['portal.lan:443'])).toBe('callable');
    expect(reasonFor('http://PORTAL/rest/', [' Portal:80 '])).toBe('callable');
    expect(reasonFor('http://[::1]:8080/', ['[::1]:8080'])).toBe('callable');
  });

  it('is not allowed by another host, another port or a part of a name', () => {
    expect(reasonFor('http://127.0.0.1:8081/', ['127.0.0.1:8080'])).toBe('not-https');
    expect(reasonFor('http://evil-portal.lan/', ['portal.lan'])).toBe('not-https');
    expect(reasonFor('http://portal.lan.evil.example/', ['portal.lan', ''])).toBe('not-https');
    expect(reasonFor('http://user:word@portal.lan/', ['portal.lan'])).toBe('has-credentials');
  });

  it('is not quoted by its error', () => {
    const rejection = rejectionOf('http://portal.example/rest/1/s3cretword/');
    expect(inspect(rejection, { showHidden: true })).not.toContain('s3cretword');
  });
});
