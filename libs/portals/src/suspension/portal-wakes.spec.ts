import { Bitrix24Error, type RequestOutcome } from '@relay/bitrix24';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { silentLog } from '@relay/platform';
import type { DataSource } from 'typeorm';
import { eventually } from '../../../../test/support/eventually.js';
import { clear, PortalsDatabase } from '../../test/portals-database.js';
import { SingleUseOAuth } from '../../test/single-use-oauth.js';
import { tokenStore } from '../../test/token-stores.js';
import { PortalQuery } from '../repository/portal-query.js';
import { PortalRepository } from '../repository/portal-repository.js';
import { PortalWakes, type ClaimedWakes } from './portal-wakes.js';
import { PortalCircuitBreaker } from './portal-circuit-breaker.js';

const memberId = 'm1';
const claim = { applicationToken: 'app-token' };
const answered: RequestOutcome = { ok: true, method: 'profile' };

function rejected(code: string): RequestOutcome {
  return {
    ok: false,
    method: 'profile',
    error: new Bitrix24Error(code, { method: 'profile', httpStatus: 503 }),
  };
}

describe('a portal that comes to work again', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let portalRepository: PortalRepository;
  let circuitBreaker: PortalCircuitBreaker;
  let wakes: PortalWakes;
  let oauth: SingleUseOAuth;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    portalRepository = new PortalRepository(source, database.box, []);
    oauth = await SingleUseOAuth.start();
  });
  beforeEach(async () => {
    await clear(source);
    circuitBreaker = new PortalCircuitBreaker(source, silentLog);
    wakes = new PortalWakes(source);
    await portalRepository.install(oauth.grant(memberId), claim);
  });
  afterAll(async () => {
    await oauth.stop();
    await database.close();
  });

  async function state(): Promise<string | undefined> {
    return (await new PortalQuery(source).all()).find((portal) => portal.memberId === memberId)?.state;
  }
  async function isClaimed(): Promise<ClaimedWakes> {
    return eventually(async () => {
      const claimed = await wakes.claim();
      if (!claimed) throw new Error('nothing is to be woken');
      expect([...claimed.memberIds]).toEqual([memberId]);
      return claimed;
    });
  }
  function newProcess(): { asks: () => Promise<unknown>; circuitBreaker: PortalCircuitBreaker } {
    const own = new PortalCircuitBreaker(source, silentLog);
    const { box } = database;
    const tokens = tokenStore({
      memberId,
      dataSource: source,
      box,
      oauthUrl: oauth.url,
      circuitBreaker: own,
    });
    return { asks: () => tokens.access(), circuitBreaker: own };
  }
  async function letPass(): Promise<void> {
    await source.query(`UPDATE portals.portals SET wake_at = wake_at - interval '5 minutes'`);
  }

  it.each<[string, string, () => Promise<unknown>]>([
    ['an operator resumes', 'suspended', () => circuitBreaker.resume(memberId)],
    ['is installed again', 'suspended', () => portalRepository.install(oauth.grant(memberId), claim)],
    ['is installed again', 'needs-reauth', () => portalRepository.install(oauth.grant(memberId), claim)],
    ['has authorized again', 'needs-reauth', () => portalRepository.reauthorize(oauth.grant(memberId))],
    [
      'an older version has made so',
      'needs-reauth',
      () => source.query(`UPDATE portals.portals SET state = 'installed'`),
    ],
  ])('that %s from %s is to be woken, once', async (_, before, heal) => {
    if (before === 'suspended') await circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
    else await source.query(`UPDATE portals.portals SET state = $1`, [before]);
    await letPass();
    await expect(wakes.claim()).resolves.toBeUndefined();
    await heal();
    const claimed = await isClaimed();
    await expect(wakes.claim()).resolves.toBeUndefined();
    await wakes.done(claimed);
    await letPass();
    await expect(wakes.claim()).resolves.toBeUndefined();
  });

  it('is not to be woken by a first install, or by one more', async () => {
    await portalRepository.install(oauth.grant(memberId), claim);
    await letPass();
    await expect(wakes.claim()).resolves.toBeUndefined();
  });

  it('is woken by another process when the one that was to has ended, and anew when it has failed meanwhile', async () => {
    await circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
    await circuitBreaker.resume(memberId);
    const first = await isClaimed();
    await letPass();
    const second = await isClaimed();
    // What the first one says now is about nothing.
    await wakes.done(first);
    await circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
    await circuitBreaker.resume(memberId);
    await wakes.done(second);
    expect((await isClaimed()).until).not.toBe(second.until);
  });

  it('is left when it has been rejected again', async () => {
    await circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
    await circuitBreaker.resume(memberId);
    await circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
    await letPass();
    await expect(wakes.claim()).resolves.toBeUndefined();
  });

  describe('since an operator has resumed it', () => {
    it('is resuming until whichever process hears its first answer', async () => {
      await circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
      await circuitBreaker.resume(memberId);
      await expect(state()).resolves.toBe('resuming');
      const consumer = newProcess();
      await consumer.asks();
      await consumer.circuitBreaker.note(memberId, rejected('QUERY_LIMIT_EXCEEDED'));
      await expect(state()).resolves.toBe('resuming');
      await consumer.circuitBreaker.note(memberId, answered);
      await expect(state()).resolves.toBe('installed');
    });

    it('is suspended again by its first rejection, and not resuming after the next install', async () => {
      await circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
      await circuitBreaker.resume(memberId);
      const consumer = newProcess();
      await consumer.asks();
      await consumer.circuitBreaker.note(memberId, rejected('OVERLOAD_LIMIT'));
      await expect(state()).resolves.toBe('suspended');
      await portalRepository.install(oauth.grant(memberId), claim);
      await expect(state()).resolves.toBe('installed');
    });
  });
});
