import { describe, expect, it } from '@jest/globals';
import { readVariables, settingsSchema } from './settings.js';

const base64 = Buffer.alloc(32, 7).toString('base64');

describe('the variables', () => {
  it('are secrets by name, and hosts', () => {
    const { secrets, allowHosts } = readVariables({
      WEBHOOK_SECRETS: `default:whsec_${base64}, acme:whsec_${base64}`,
      WEBHOOK_ALLOW_HOSTS: 'n8n:5678,10.0.0.5',
    });
    expect([...secrets.keys()]).toEqual(['default', 'acme']);
    expect(secrets.get('acme')).toEqual(Buffer.alloc(32, 7));
    expect(allowHosts).toEqual(['n8n:5678', '10.0.0.5']);
  });

  it.each([undefined, '', 'default', `whsec_${base64}`, 'default:whsec_c2hvcnQ=', `default:${base64}`])(
    'of which the secrets are %s stop the start, without their values',
    (secrets) => {
      const read = (): unknown => readVariables({ WEBHOOK_SECRETS: secrets });
      expect(read).toThrow('WEBHOOK_SECRETS is a comma list of');
      expect(read).not.toThrow(base64);
    },
  );
});

it.each([
  'ftp://example.com/',
  'javascript:alert(1)',
  'example.com',
  `https://example.com/${'x'.repeat(2_000)}`,
])('the settings reject the address %#', (url) => {
  expect(settingsSchema.safeParse({ url }).success).toBe(false);
});
