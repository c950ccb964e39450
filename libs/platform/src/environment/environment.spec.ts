import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { EnvironmentError, readEnvironment, type EnvironmentName } from './environment.js';

const key = randomBytes(32).toString('base64');

function problemsOf(names: EnvironmentName[], source: NodeJS.ProcessEnv): readonly string[] {
  try {
    readEnvironment(names, source);
  } catch (error) {
    if (error instanceof EnvironmentError) return error.problems;
    throw error;
  }
  return [];
}

function gatewayInBrowser(url: string): string | undefined {
  const { SIMULATOR_GATEWAY_URL } = readEnvironment(['SIMULATOR_GATEWAY_URL'], {
    SIMULATOR_GATEWAY_URL: url,
  });
  return SIMULATOR_GATEWAY_URL;
}

describe('the environment', () => {
  it('has the documented defaults', () => {
    expect(
      readEnvironment(['PORT', 'OPS_PORT', 'PUBLIC_URL', 'B24_OAUTH_URL', 'B24_ALLOW_HOSTS', 'AMQP_URL'], {}),
    ).toEqual({
      PORT: 3000,
      OPS_PORT: 9100,
      PUBLIC_URL: 'http://127.0.0.1:3000',
      B24_OAUTH_URL: ['https://oauth.bitrix.info', 'https://oauth.bitrix24.tech'],
      B24_ALLOW_HOSTS: [],
    });
  });

  it('derives PUBLIC_URL from PORT', () => {
    expect(readEnvironment(['PUBLIC_URL'], { PORT: '3456' }).PUBLIC_URL).toBe('http://127.0.0.1:3456');
  });

  it('takes of a range of published ports the first for a browser', () => {
    expect(gatewayInBrowser('http://localhost:3000-3001')).toBe('http://localhost:3000');
    expect(gatewayInBrowser('https://relay.example:8443/b24-1')).toBe('https://relay.example:8443/b24-1');
    expect(problemsOf(['SIMULATOR_GATEWAY_URL'], { SIMULATOR_GATEWAY_URL: 'localhost:3000' })).toHaveLength(
      1,
    );
  });

  it('reports every invalid variable at once, and no value', () => {
    const source = { PORT: 'eighty', DATABASE_URL: 'mysql://secret@host', TOKEN_KEYS: 'k1:c2hvcnQ=' };
    const problems = problemsOf(['PORT', 'DATABASE_URL', 'TOKEN_KEYS'], source);
    expect(problems.map((problem) => problem.split(' ')[0])).toEqual(['PORT', 'DATABASE_URL', 'TOKEN_KEYS']);
    expect(problems.join()).not.toMatch(/eighty|secret|c2hvcnQ/);
  });

  it('says how to fix a missing variable', () => {
    expect(problemsOf(['TOKEN_KEYS'], {})).toEqual([expect.stringContaining('openssl rand -base64 32')]);
  });

  it('rejects an address with an unencoded password, without showing it', () => {
    const source = {
      AMQP_URL: 'amqp://relay:Sup3r/Secret@host:5672',
      DATABASE_URL: 'postgres://u:p/w@host:x/db',
    };
    const problems = problemsOf(['AMQP_URL', 'DATABASE_URL'], source);
    expect(problems).toEqual([
      expect.stringMatching(/^AMQP_URL .*percent-encoded/),
      expect.stringMatching(/^DATABASE_URL .*percent-encoded/),
    ]);
    expect(problems.join()).not.toMatch(/Sup3r|Secret/);
  });

  it('reads the OAuth servers as an ordered list, and reports an invalid address', () => {
    const list = 'https://two.example/, https://one.example:8443/oauth/';
    expect(readEnvironment(['B24_OAUTH_URL'], { B24_OAUTH_URL: list }).B24_OAUTH_URL).toEqual([
      'https://two.example',
      'https://one.example:8443/oauth',
    ]);
    for (const bad of ['https://one.example,', 'one.example', 'https://one.example,ftp://two.example']) {
      expect(problemsOf(['B24_OAUTH_URL'], { B24_OAUTH_URL: bad })).toEqual([
        expect.stringMatching(/^B24_OAUTH_URL/),
      ]);
    }
  });

  it('accepts both keys of the application or none', () => {
    const names: EnvironmentName[] = ['B24_CLIENT_ID', 'B24_CLIENT_SECRET'];
    expect(problemsOf(names, { B24_CLIENT_ID: 'local.1' })).toEqual([
      expect.stringContaining('B24_CLIENT_SECRET'),
    ]);
    expect(problemsOf(names, {})).toEqual([]);
  });

  it('ignores variables that the app does not use', () => {
    expect(readEnvironment(['PORT'], { DATABASE_URL: 'nonsense' })).toEqual({ PORT: 3000 });
  });

  it('treats an empty variable as unset', () => {
    expect(readEnvironment(['PORT', 'AMQP_URL'], { PORT: '', AMQP_URL: '' })).toEqual({ PORT: 3000 });
  });

  it.each([
    [undefined, false],
    ['0', false],
    ['2', 2],
    ['10.0.0.7, 10.1.0.0/16,2001:db8::/32', ['10.0.0.7', '10.1.0.0/16', '2001:db8::/32']],
  ])('accepts %s as trusted proxies', (text, trusted) => {
    expect(readEnvironment(['TRUST_PROXY'], { TRUST_PROXY: text }).TRUST_PROXY).toEqual(trusted);
  });

  it.each(['true', 'proxy.internal', '10.0.0.0/33', '10.0.0.0/8/8', '-1'])(
    'rejects %s as a proxy',
    (text) => {
      expect(problemsOf(['TRUST_PROXY'], { TRUST_PROXY: text })).toEqual([
        expect.stringMatching(/^TRUST_PROXY must be addresses/),
      ]);
    },
  );

  it('reads several token keys in their order', () => {
    const { TOKEN_KEYS } = readEnvironment(['TOKEN_KEYS'], { TOKEN_KEYS: `k2:${key}, k1:${key}` });
    expect(TOKEN_KEYS.map(({ id }) => id)).toEqual(['k2', 'k1']);
    expect(TOKEN_KEYS[0]?.key).toHaveLength(32);
  });

  it('rejects two token keys with the same id', () => {
    expect(problemsOf(['TOKEN_KEYS'], { TOKEN_KEYS: `k1:${key},k1:${key}` })).toHaveLength(1);
  });

  it('rejects the published key of the demo with a real OAuth server', () => {
    const names: EnvironmentName[] = ['TOKEN_KEYS', 'B24_OAUTH_URL', 'B24_ALLOW_HOSTS'];
    expect(problemsOf(names, { TOKEN_KEYS: `demo:${key}` })).toHaveLength(1);
    expect(
      problemsOf([...names, 'OPS_TOKEN'], {
        TOKEN_KEYS: `demo:${key}`,
        OPS_TOKEN: 'demo-ops-token-published',
      }),
    ).toHaveLength(2);
    const demo = { B24_OAUTH_URL: 'http://portal-simulator:8080', B24_ALLOW_HOSTS: 'portal-simulator:8080' };
    expect(problemsOf(names, { TOKEN_KEYS: `demo:${key}`, ...demo })).toEqual([]);
    const both = `${demo.B24_OAUTH_URL},https://oauth.bitrix.info`;
    expect(problemsOf(names, { TOKEN_KEYS: `demo:${key}`, ...demo, B24_OAUTH_URL: both })).toHaveLength(1);
  });

  it('rejects the published password with a real OAuth server', () => {
    const names: EnvironmentName[] = ['DATABASE_URL', 'AMQP_URL', 'B24_OAUTH_URL', 'B24_ALLOW_HOSTS'];
    const urls = {
      DATABASE_URL: 'postgres://relay_service:relay@postgres:5432/relay',
      AMQP_URL: 'amqp://relay:relay@rabbitmq:5672',
    };
    expect(problemsOf(names, urls)).toEqual([
      expect.stringMatching(/^DATABASE_URL has the published password/),
      expect.stringMatching(/^AMQP_URL has the published password/),
    ]);
    const demo = { B24_OAUTH_URL: 'http://portal-simulator:8080', B24_ALLOW_HOSTS: 'portal-simulator:8080' };
    expect(problemsOf(names, { ...urls, ...demo })).toEqual([]);
  });

  it('rejects a password placeholder', () => {
    const names: EnvironmentName[] = ['DATABASE_URL', 'AMQP_URL'];
    expect(
      problemsOf(names, {
        DATABASE_URL: 'postgres://relay_service:@postgres:5432/relay',
        AMQP_URL: 'amqp://relay:@rabbitmq',
      }),
    ).toEqual([
      expect.stringMatching(/^DATABASE_URL has an empty password.*POSTGRES_SERVICE_PASSWORD/),
      expect.stringMatching(/^AMQP_URL has an empty password/),
    ]);
    const none = { DATABASE_URL: 'postgres://postgres@127.0.0.1:5432/a:@b', AMQP_URL: 'amqp://broker' };
    expect(problemsOf(names, none)).toEqual([]);
  });

  it('runs migrations as the services’ user, unless another is given', () => {
    const url = 'postgres://one@h/db';
    const other = 'postgres://two@h/db';
    const names: EnvironmentName[] = ['MIGRATE_DATABASE_URL'];
    expect(readEnvironment(names, { DATABASE_URL: url })).toEqual({ MIGRATE_DATABASE_URL: url });
    expect(readEnvironment(names, { DATABASE_URL: url, MIGRATE_DATABASE_URL: other })).toEqual({
      MIGRATE_DATABASE_URL: other,
    });
  });
});
