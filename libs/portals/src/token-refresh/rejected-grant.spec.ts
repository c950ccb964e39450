import type { PortalAccess } from '@relay/bitrix24';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { eventually } from '../../../../test/support/eventually.js';
import { clear, keptLog, PortalsDatabase } from '../../test/portals-database.js';
import { SingleUseOAuth } from '../../test/single-use-oauth.js';
import { quickTimings, tokenStore } from '../../test/token-stores.js';
import { PortalRepository } from '../repository/portal-repository.js';
import type { DatabaseTokenStore, TokenStoreParts } from './database-token-store.js';

const memberId = 'm1';
const claim = { domain: 'one.bitrix24.com', applicationToken: 'app-token' };
const needsReauth = expect.objectContaining({ code: 'NEEDS_REAUTH', recovery: 'reauthorize' });

/** One process has exchanged the pair and could not store the new one; another one meets the spent pair meanwhile. */
describe('a pair that the OAuth server rejects', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let portalRepository: PortalRepository;
  let oauth: SingleUseOAuth;
  let stale: string;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    portalRepository = new PortalRepository(source, database.box, []);
  });
  beforeEach(async () => {
    await clear(source);
    oauth = await SingleUseOAuth.start();
    const grant = oauth.grant(memberId);
    await portalRepository.install(grant, claim);
    stale = grant.accessToken;
  });
  afterEach(() => oauth.stop());
  afterAll(() => database.close());

  function store(dataSource: DataSource, changes: Partial<TokenStoreParts> = {}): DatabaseTokenStore {
    return tokenStore({ memberId, dataSource, box: database.box, oauthUrl: oauth.url, ...changes });
  }

  /** Its connection is cut with the exchange under way; the new pair is stored after `pauseMs`. */
  async function storesLate(pauseMs: number): Promise<Promise<PortalAccess>> {
    const cut = new Promise<void>((resolve) => {
      oauth.beforeAnswer = async () => {
        oauth.beforeAnswer = () => undefined;
        await source.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE state = 'idle in transaction' AND datname = current_database()`,
        );
        resolve();
      };
    });
    const timings = { ...quickTimings, storePausesMs: [pauseMs, 100, 1_000] };
    const late = store(await database.connect(), { timings }).refresh(stale);
    await cut;
    return late;
  }

  async function state(): Promise<string | undefined> {
    const [row] = await source.query<{ state: string }[]>('SELECT state FROM portals.portals');
    return row?.state;
  }

  it('is not dead while a peer is about to store the new one: it is waited for', async () => {
    const late = storesLate(300);
    await eventually(() => expect(oauth.exchanges.get(memberId)).toBe(1));
    const timings = { ...quickTimings, peerPausesMs: Array.from({ length: 100 }, () => 100) };
    const refreshed = await store(source, { timings }).refresh(stale);
    expect(refreshed).toEqual(await late);
    expect(await state()).toBe('installed');
    expect(oauth.rejected).toBeLessThanOrEqual(1);
    expect(oauth.exchanges.get(memberId)).toBe(1);
  });

  it('marks the portal when nobody stores a new one; who stores it late takes the mark back', async () => {
    const { log, lines } = keptLog();
    const late = storesLate(2_000);
    await eventually(() => expect(oauth.exchanges.get(memberId)).toBe(1));
    await expect(store(source, { log }).refresh(stale)).rejects.toEqual(needsReauth);
    expect(await state()).toBe('needs-reauth');
    expect(lines).toMatchObject([{ level: 'warn', fields: { memberId, code: 'NEEDS_REAUTH' } }]);

    const refreshed = await late;
    expect(await state()).toBe('installed');
    await expect(store(source).access()).resolves.toEqual(refreshed);
  });

  it('works again with the next verified pair, and a pair stored late after it changes nothing', async () => {
    const late = storesLate(2_000);
    await eventually(() => expect(oauth.exchanges.get(memberId)).toBe(1));
    await expect(store(source).refresh(stale)).rejects.toEqual(needsReauth);
    const opened = oauth.grant(memberId);
    await portalRepository.reauthorize(opened);
    expect(await state()).toBe('installed');
    await late;
    await expect(store(source).access()).resolves.toMatchObject({ accessToken: opened.accessToken });
  });

  it('says once in the log that the portal has to authorize, however many processes meet it', async () => {
    await oauth.stop();
    oauth = await SingleUseOAuth.start();
    const { log, lines } = keptLog();
    const processes = await Promise.all(Array.from({ length: 3 }, () => database.connect()));
    const refreshes = processes.map((each) => store(each, { log }).refresh(stale));
    const outcomes = await Promise.allSettled(refreshes);
    expect(outcomes).toEqual(outcomes.map(() => ({ status: 'rejected', reason: needsReauth })));
    expect(lines).toHaveLength(1);
  });
});
