import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request as forward, type Server } from 'node:http';
import { eventually } from '../support/eventually.js';
import { InstalledApplication } from '../support/installed-application.js';
import { listedPortal } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

const flood = 600;
/** How many may follow each other at once, and in a second after that. */
const bucket = { size: 30, perSecond: 15 };

async function many(times: number, one: () => Promise<number>): Promise<number[]> {
  const statuses: number[] = [];
  for (let done = 0; done < times; done += 20) {
    statuses.push(...(await Promise.all(Array.from({ length: 20 }, one))));
  }
  return statuses;
}

const made = (): string => randomBytes(16).toString('hex');

/**
 * Anybody may post claims of installs; each makes the gateway ask the OAuth server, which blocks an application that asks
 * too much. Real: gateway, PostgreSQL. Simulated: Bitrix24; between the two, somebody who counts.
 */
describe('a flood of forged claims', () => {
  let relay: Relay;
  let server: Server;
  let exchanges: number[] = [];
  /** Said by the OAuth server instead of its answer. */
  let rejection: string | undefined;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', []);
    server = createServer((asked, answer) => {
      exchanges.push(Date.now());
      if (rejection !== undefined) {
        answer
          .writeHead(402, { 'content-type': 'application/json' })
          .end(JSON.stringify({ error: rejection }));
        return;
      }
      const { method, url, headers } = asked;
      const on = forward(new URL(url ?? '/', relay.outside.url), { method, headers }, (given) => {
        answer.writeHead(given.statusCode ?? 502, given.headers);
        given.pipe(answer);
      });
      on.on('error', () => answer.destroy());
      asked.pipe(on);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    await relay.restart({
      B24_OAUTH_URL: `http://127.0.0.1:${port}`,
      B24_ALLOW_HOSTS: `${relay.env['B24_ALLOW_HOSTS']},127.0.0.1:${port}`,
      TRUST_PROXY: '127.0.0.1',
    });
  }, 90_000);
  beforeEach(() => {
    exchanges = [];
    rejection = undefined;
  });
  afterAll(async () => {
    await relay?.stop();
    server?.close();
  }, 30_000);

  async function post(path: string, form: Record<string, string>, address = '198.51.100.7'): Promise<number> {
    const answer = await fetch(`${relay.gatewayUrl}${path}`, {
      method: 'POST',
      body: new URLSearchParams(form).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-forwarded-for': address },
    });
    await answer.text();
    return answer.status;
  }

  function callback(memberId = made(), refreshToken = made()): Promise<number> {
    return post('/b24/install', {
      event: 'ONAPPINSTALL',
      'auth[member_id]': memberId,
      'auth[domain]': 'acme.bitrix24.com',
      'auth[application_token]': made(),
      'auth[access_token]': made(),
      'auth[refresh_token]': refreshToken,
    });
  }

  function page(address: string): Promise<number> {
    const form = { member_id: made(), AUTH_ID: made(), REFRESH_ID: made(), APPLICATION_TOKEN: made() };
    return post('/b24/install?DOMAIN=acme.bitrix24.com', form, address);
  }

  async function isInstalled({ memberId }: SimulatedPortal, timeoutMs = 60_000): Promise<void> {
    await eventually(
      async () => expect(await listedPortal(relay, memberId)).toMatchObject({ state: 'installed' }),
      { timeoutMs },
    );
  }

  /** In any time that has passed, no more than the bucket gives; a second for what was on its way. */
  function expectOfBucket(): void {
    for (const [first, begunAt] of exchanges.entries()) {
      const last = exchanges.findLastIndex((at) => at - begunAt <= 5_000);
      expect(last - first + 1).toBeLessThanOrEqual(bucket.size + 6 * bucket.perSecond);
    }
  }

  it('that repeat one proof asks once', async () => {
    const [memberId, refreshToken] = [made(), made()];
    for (let times = 0; times < 10; times += 1) expect(await callback(memberId, refreshToken)).toBe(401);
    expect(exchanges).toHaveLength(1);
  });

  it('does not make a rejection stay that is about something else than the proof', async () => {
    const portal = await relay.portal('paid-later');
    const app = new InstalledApplication(relay, portal);
    await app.install('page');
    const { query, form } = await app.opening();
    const open = (): Promise<number> => post(`/b24/install?${query}`, Object.fromEntries(form), '192.0.2.9');
    rejection = 'PAYMENT_REQUIRED';
    expect(await open()).toBe(401);
    rejection = undefined;
    expect(await open()).toBe(200);
    await isInstalled(portal);
  });

  it('that name other portals is paced, and a real install in the middle is confirmed within a minute', async () => {
    const portal = await relay.portal('in-the-middle');
    const statuses = await many(flood / 2, callback);
    const { status } = await portal.install(`${relay.gatewayUrl}/b24/install`);
    expect([200, 503]).toContain(status);
    const installed = isInstalled(portal);
    statuses.push(...(await many(flood / 2, callback)));
    await installed;
    expect(new Set(statuses)).toEqual(new Set([401, 503]));
    expectOfBucket();
  }, 120_000);

  it('from one address leaves the pages of others alone', async () => {
    const portal = await relay.portal('another-address');
    const app = new InstalledApplication(relay, portal);
    await app.install('page');
    const { query, form } = await app.opening();
    await many(200, () => page('203.0.113.66'));
    const real = await post(`/b24/install?${query}`, Object.fromEntries(form), '192.0.2.1');
    expect([200, 503]).toContain(real);
    await isInstalled(portal, 20_000);
    expectOfBucket();
  }, 120_000);
});
