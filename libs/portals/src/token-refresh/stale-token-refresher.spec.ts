import { randomBytes } from 'node:crypto';
import { silentLog } from '@relay/platform';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { installedPortals } from '../../test/installed-portals.js';
import { clear, PortalsDatabase } from '../../test/portals-database.js';
import { SingleUseOAuth } from '../../test/single-use-oauth.js';
import { quickTimings } from '../../test/token-stores.js';
import { PortalClients } from '../portal-clients.js';
import { PortalRepository } from '../repository/portal-repository.js';
import { PortalCircuitBreaker } from '../suspension/portal-circuit-breaker.js';
import { StaleTokenRefresher } from './stale-token-refresher.js';

describe('portals that nobody has called', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let portalRepository: PortalRepository;
  let oauth: SingleUseOAuth;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    portalRepository = new PortalRepository(source, database.box, []);
  });
  beforeEach(async () => {
    await clear(source);
    oauth = await SingleUseOAuth.start();
  });
  afterEach(() => oauth.stop());
  afterAll(() => database.close());

  function refresherOf(dataSource = source): StaleTokenRefresher {
    const clients = new PortalClients({
      dataSource,
      box: database.box,
      circuitBreaker: new PortalCircuitBreaker(dataSource, silentLog),
      oauth: { urls: [oauth.url], clientId: 'id', clientSecret: 'secret' },
      allowHosts: [],
      log: silentLog,
      timings: quickTimings,
    });
    return new StaleTokenRefresher(dataSource, clients, silentLog);
  }

  async function installed(memberId: string, daysAgo: number): Promise<void> {
    await portalRepository.install(oauth.grant(memberId), {
      applicationToken: randomBytes(16).toString('hex'),
    });
    await source.query(
      `UPDATE portals.credentials SET updated_at = now() - make_interval(days => $2) WHERE member_id = $1`,
      [memberId, daysAgo],
    );
  }

  it('for 150 days get a new pair once, and the others none', async () => {
    await installed('idle', 151);
    await installed('used', 149);
    await installed('gone', 170);
    await portalRepository.uninstall('gone');
    await portalRepository.registerWebhook({
      memberId: 'webhook',
      webhookUrl: 'https://two.bitrix24.com/rest/1/secret/',
      applicationToken: 't',
    });
    await source.query(
      `UPDATE portals.credentials SET updated_at = '2020-01-01' WHERE member_id = 'webhook'`,
    );

    await expect(refresherOf().refreshStaleTokens(100)).resolves.toEqual({ refreshed: 1, failed: 0 });
    expect([...oauth.exchanges]).toEqual([['idle', 1]]);
    await expect(refresherOf().refreshStaleTokens(100)).resolves.toEqual({ refreshed: 0, failed: 0 });
  });

  it('are refreshed once each by two concurrent processes, also more than one batch of them', async () => {
    const members = Array.from({ length: 45 }, (_, number) => `m${number}`);
    for (const memberId of members) await installed(memberId, 160);
    const processes = [refresherOf(), refresherOf(await database.connect())];
    await Promise.all(processes.map((each) => each.refreshStaleTokens(1_000)));
    expect(oauth.exchanges.size).toBe(45);
    expect(new Set(oauth.exchanges.values())).toEqual(new Set([1]));
    expect(oauth.rejected).toBe(0);
  });

  it('are refreshed while they are suspended, too, and stay so', async () => {
    await installed('blocked', 160);
    await new PortalCircuitBreaker(source, silentLog).suspend('blocked', 'OVERLOAD_LIMIT');
    await expect(refresherOf().refreshStaleTokens(100)).resolves.toEqual({ refreshed: 1, failed: 0 });
    await expect(installedPortals(source)).resolves.toEqual([]);
  });

  it('are no more in one go than asked for', async () => {
    for (const memberId of ['a', 'b', 'c']) await installed(memberId, 160);
    await expect(refresherOf().refreshStaleTokens(2)).resolves.toEqual({ refreshed: 2, failed: 0 });
    expect(oauth.exchanges.size).toBe(2);
  });

  it('wait when the process is to end, but for the one in hand, whose pair is stored', async () => {
    for (const memberId of ['a', 'b', 'c']) await installed(memberId, 160);
    const ending = new AbortController();
    oauth.beforeAnswer = () => ending.abort();
    await expect(refresherOf().refreshStaleTokens(100, ending.signal)).resolves.toEqual({
      refreshed: 1,
      failed: 0,
    });
    oauth.beforeAnswer = () => undefined;
    await expect(refresherOf().refreshStaleTokens(100)).resolves.toEqual({ refreshed: 2, failed: 0 });
  });

  it('do not starve one another: a dead one is marked, the rest is refreshed', async () => {
    for (const memberId of ['a', 'dead', 'z']) await installed(memberId, 160);
    await source.query(`UPDATE portals.credentials SET refresh_token = $1 WHERE member_id = 'dead'`, [
      database.box.seal('unknown', { memberId: 'dead', field: 'refresh_token' }),
    ]);
    await expect(refresherOf().refreshStaleTokens(100)).resolves.toEqual({ refreshed: 2, failed: 1 });
    await expect(installedPortals(source)).resolves.toEqual(['a', 'z']);
  });

  it('wait for the next day when the OAuth server is away', async () => {
    for (const memberId of ['a', 'b']) await installed(memberId, 160);
    const refresher = refresherOf();
    await oauth.stop();
    await expect(refresher.refreshStaleTokens(100)).resolves.toEqual({ refreshed: 0, failed: 0 });
    await expect(installedPortals(source)).resolves.toEqual(['a', 'b']);
  });
});
