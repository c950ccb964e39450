import { silentLog } from '@relay/platform';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { eventually } from '../../../../test/support/eventually.js';
import { clear, PortalsDatabase } from '../../test/portals-database.js';
import { SingleUseOAuth } from '../../test/single-use-oauth.js';
import { TcpProxy } from '../../test/tcp-proxy.js';
import { hasApplicationToken } from '../repository/application-token.js';
import { PostgresListener } from '../database/postgres-listener.js';
import { PortalCache } from './portal-cache.js';
import { loadPortalsFrom } from './portal-loader.js';
import { PortalRepository } from '../repository/portal-repository.js';

const minuteMs = 60_000;

describe('PortalCache', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let portalRepository: PortalRepository;
  let oauth: SingleUseOAuth;
  let closeAfter: (() => unknown)[];

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    portalRepository = new PortalRepository(source, database.box, []);
    oauth = await SingleUseOAuth.start();
  });
  beforeEach(async () => {
    closeAfter = [];
    await clear(source);
  });
  afterEach(async () => {
    await Promise.all(closeAfter.map((close) => close()));
  });
  afterAll(async () => {
    await oauth.stop();
    await database.close();
  });

  const deaf: Pick<PostgresListener, 'on' | 'isListening'> = {
    on: () => () => undefined,
    isListening: () => false,
  };

  /** A directory on the real database, with a clock that a test moves and the queries counted. */
  function open({ from = source, postgresListener = deaf } = {}): {
    portalCache: PortalCache;
    clock: { ms: number };
    queries: string[][];
  } {
    const clock = { ms: 1_000_000 };
    const queries: string[][] = [];
    const read = loadPortalsFrom(from);
    const readPortals = (memberIds: string[]): ReturnType<typeof read> => {
      queries.push(memberIds);
      return read(memberIds);
    };
    return {
      portalCache: new PortalCache({ readPortals, postgresListener, now: () => clock.ms }),
      clock,
      queries,
    };
  }

  async function openListening(): Promise<ReturnType<typeof open>> {
    const postgresListener = new PostgresListener({ databaseUrl: database.url, log: silentLog });
    closeAfter.push(() => postgresListener.stop());
    const opened = open({ postgresListener });
    await opened.portalCache.find('to-begin');
    await eventually(() => expect(postgresListener.isListening()).toBe(true));
    opened.queries.length = 0;
    return opened;
  }

  async function install(memberId: string, applicationToken = `token-of-${memberId}`): Promise<void> {
    await portalRepository.install(oauth.grant(memberId), { applicationToken });
  }

  it('finds a portal with what is needed to judge its events', async () => {
    await install('m1');
    const portal = await open().portalCache.find('m1');
    expect(portal).toMatchObject({
      memberId: 'm1',
      domain: 'one.bitrix24.com',
      clientEndpoint: 'https://one.bitrix24.com/rest/',
      state: 'installed',
    });
    expect(portal && hasApplicationToken(portal, 'token-of-m1')).toBe(true);
    expect(portal && hasApplicationToken(portal, 'token-of-m2')).toBe(false);
  });

  it('asks the database once for a portal, and once for a member that is unknown', async () => {
    await install('m1');
    const { portalCache, queries } = open();
    for (let round = 0; round < 3; round += 1) {
      await expect(portalCache.find('m1')).resolves.toMatchObject({ memberId: 'm1' });
      await expect(portalCache.find('nobody')).resolves.toBeUndefined();
    }
    expect(queries).toEqual([['m1'], ['nobody']]);
  });

  it('shares one read among all who ask at once', async () => {
    await install('m1');
    const { portalCache, queries } = open();
    await Promise.all(Array.from({ length: 100 }, () => portalCache.find('m1', { fresh: true })));
    expect(queries).toEqual([['m1']]);
  });

  it('knows of an install, a new token and an uninstall as soon as they are announced', async () => {
    const { portalCache } = await openListening();
    await expect(portalCache.find('m1')).resolves.toBeUndefined();
    await install('m1');
    await eventually(async () => expect(await portalCache.find('m1')).toMatchObject({ state: 'installed' }));
    await portalRepository.addApplicationToken('m1', 'another');
    await eventually(async () => expect((await portalCache.find('m1'))?.tokenHashes).toHaveLength(2));
    await portalRepository.uninstall('m1');
    await eventually(async () =>
      expect(await portalCache.find('m1')).toMatchObject({ state: 'uninstalled' }),
    );
  });

  it('keeps a portal for a minute while changes are announced, for two seconds while they are not', async () => {
    await install('m1');
    const listening = await openListening();
    const alone = open();
    for (const { portalCache, clock } of [listening, alone]) {
      await portalCache.find('m1');
      clock.ms += 2_001;
      await portalCache.find('m1');
    }
    expect(listening.queries).toHaveLength(1);
    expect(alone.queries).toHaveLength(2);
    listening.clock.ms += minuteMs;
    await listening.portalCache.find('m1');
    expect(listening.queries).toHaveLength(2);
  });

  it('reads a portal afresh when asked to, but once a second', async () => {
    await install('m1', 'old');
    const { portalCache, clock, queries } = open();
    await portalCache.find('m1');
    await install('m1', 'new');
    const sees = async (token: string): Promise<boolean> => {
      const portal = await portalCache.find('m1', { fresh: true });
      return portal !== undefined && hasApplicationToken(portal, token);
    };
    clock.ms += 999;
    await expect(sees('new')).resolves.toBe(false);
    clock.ms += 1;
    await expect(sees('new')).resolves.toBe(true);
    await expect(sees('old')).resolves.toBe(false);
    expect(queries).toHaveLength(2);
  });

  it('meets a flood of made-up members with a handful of queries', async () => {
    const { portalCache, queries } = open();
    const ids = Array.from({ length: 5_000 }, (_, index) => `made-up-${index}`);
    const found = await Promise.all(ids.map((memberId) => portalCache.find(memberId)));
    expect(found.every((portal) => portal === undefined)).toBe(true);
    expect(queries.length).toBeLessThanOrEqual(11);
    await Promise.all(ids.map((memberId) => portalCache.find(memberId, { fresh: true })));
    expect(queries.length).toBeLessThanOrEqual(11);
  });

  it('does not forget a portal for all the members that were made up', async () => {
    await install('m1');
    const { portalCache, queries } = open();
    await portalCache.find('m1');
    await Promise.all(Array.from({ length: 11_000 }, (_, index) => portalCache.find(`made-up-${index}`)));
    queries.length = 0;
    await portalCache.find('m1');
    expect(queries).toEqual([]);
  });

  it.each([
    ['so many portals', { maxPortals: 2 }],
    ['so many bytes', { maxBytes: 2_000 }],
  ])('keeps no more than %s, those that were used last', async (_, limits) => {
    for (const memberId of ['m1', 'm2', 'm3']) await install(memberId);
    const queries: string[][] = [];
    const read = loadPortalsFrom(source);
    const readPortals = (memberIds: string[]): ReturnType<typeof read> => {
      queries.push(memberIds);
      return read(memberIds);
    };
    const portalCache = new PortalCache({
      readPortals,
      postgresListener: deaf,
      now: () => 1_000_000,
      ...limits,
    });
    for (const memberId of ['m1', 'm2', 'm1', 'm3', 'm1', 'm2']) await portalCache.find(memberId);
    expect(queries).toEqual([['m1'], ['m2'], ['m3'], ['m2']]);
  });

  it('does not trouble the database with what cannot be a member id', async () => {
    const { portalCache, queries } = open();
    const ids = ['', 'a\0b', 'x'.repeat(65), 'two words', '\u{1F600}', '__proto__ '];
    await expect(Promise.all(ids.map((memberId) => portalCache.find(memberId)))).resolves.toEqual(
      ids.map(() => undefined),
    );
    expect(queries).toEqual([]);
  });

  it('answers from memory while the database is gone, and does not guess about others', async () => {
    await install('m1');
    const from = await database.connect();
    const { portalCache, clock } = open({ from });
    await portalCache.find('m1');
    await portalCache.find('nobody');
    await from.destroy();
    clock.ms += minuteMs;

    await expect(portalCache.find('m1')).resolves.toMatchObject({ memberId: 'm1' });
    const unavailable = expect.objectContaining({
      name: 'PortalStoreUnavailableError',
      code: 'DIRECTORY_UNAVAILABLE',
      recovery: 'retry',
    });
    await expect(portalCache.find('m1', { fresh: true })).rejects.toEqual(unavailable);
    await expect(portalCache.find('m2')).rejects.toEqual(unavailable);
    await expect(portalCache.find('nobody')).rejects.toEqual(unavailable);
    await expect(portalCache.find('nobody', { fresh: true })).rejects.toEqual(unavailable);

    await from.initialize();
    clock.ms += 1_000;
    await expect(portalCache.find('nobody')).resolves.toBeUndefined();
    await from.destroy();
    await from.initialize();
  });

  it('does not let a portal that is cached wait for a database that hangs', async () => {
    await install('m1');
    const proxy = await TcpProxy.open(database.url);
    closeAfter.push(() => proxy.close());
    const from = await database.connect(proxy.url);
    const { portalCache, clock } = open({ from });
    await portalCache.find('m1');
    proxy.freeze();
    clock.ms += minuteMs;

    const begunAt = performance.now();
    const unknown = portalCache.find('m2').catch((error: unknown) => error);
    await expect(portalCache.find('m1')).resolves.toMatchObject({ memberId: 'm1' });
    expect(performance.now() - begunAt).toBeLessThan(1_500);
    await expect(unknown).resolves.toMatchObject({ code: 'DIRECTORY_UNAVAILABLE' });
    proxy.thaw();
  });

  it('does not keep what a read saw before a change that was announced while it ran', async () => {
    await install('m1', 'old');
    const changes: ((memberId: string) => void)[] = [];
    const postgresListener = {
      on: (_: string, listener: (memberId: string) => void) => {
        changes.push(listener);
        return () => undefined;
      },
      isListening: () => true,
    };
    const read = loadPortalsFrom(source);
    let reads = 0;
    const portalCache = new PortalCache({
      postgresListener,
      readPortals: async (memberIds) => {
        const seen = await read(memberIds);
        reads += 1;
        if (reads === 1) {
          await install('m1', 'new');
          for (const announce of changes) announce('m1');
        }
        return seen;
      },
    });
    await portalCache.find('m1');
    const portal = await portalCache.find('m1');
    expect(portal && hasApplicationToken(portal, 'new')).toBe(true);
  });
});
