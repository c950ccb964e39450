import { silentLog } from '@relay/platform';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource, EntityManager } from 'typeorm';
import { z } from 'zod';
import { eventually } from '../../../../test/support/eventually.js';
import { clear, PortalsDatabase } from '../../test/portals-database.js';
import { SingleUseOAuth } from '../../test/single-use-oauth.js';
import { PostgresListener } from '../database/postgres-listener.js';
import { PortalCache } from '../cache/portal-cache.js';
import { loadPortalsFrom } from '../cache/portal-loader.js';
import { PortalRepository } from './portal-repository.js';
import { OfflineBindings } from '../subscriptions/offline-bindings.js';
import { PortalSettings, type SettingsChange } from './portal-settings.js';

const volume = z.strictObject({ volume: z.number().default(5) });
const SETTINGS_SQL = 'SELECT settings, delivery_mode AS mode FROM portals.portals';
const warnings: object[] = [];
const log = { ...silentLog, warn: (fields: object) => void warnings.push(fields) };
const claim = { domain: 'one.bitrix24.com', applicationToken: 'token-1' };

describe('PortalSettings', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let postgresListener: PostgresListener;
  let portalCache: PortalCache;
  let portalRepository: PortalRepository;
  let settings: PortalSettings;
  let oauth: SingleUseOAuth;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    postgresListener = new PostgresListener({ databaseUrl: database.url, log: silentLog });
    portalRepository = new PortalRepository(source, database.box, []);
    oauth = await SingleUseOAuth.start();
  });
  beforeEach(async () => {
    await clear(source);
    portalCache = new PortalCache({ readPortals: loadPortalsFrom(source), postgresListener });
    warnings.length = 0;
    settings = new PortalSettings(source, portalCache, log);
    for (const consumer of ['radio', 'tv']) await settings.declare(consumer, volume);
    await portalCache.find('to-begin');
    await eventually(() => expect(postgresListener.isListening()).toBe(true));
    await portalRepository.install(oauth.grant('m1'), { ...claim, language: 'tr' });
  });
  afterEach(() => portalCache.close());
  afterAll(async () => {
    await oauth.stop();
    await postgresListener.stop();
    await database.close();
  });

  it('has the schema say what is so where nothing was set, at a portal or at none', async () => {
    await expect(settings.of('m1', 'radio', volume)).resolves.toEqual({ language: 'tr', own: { volume: 5 } });
    await expect(settings.of('nobody', 'radio', volume)).resolves.toEqual({ own: { volume: 5 } });
  });

  it('knows of a new setting, and of a new language, as soon as they are announced', async () => {
    await settings.of('m1', 'radio', volume);
    await settings.set('m1', 'radio', { volume: 11 });
    await eventually(async () =>
      expect(await settings.of('m1', 'radio', volume)).toEqual({ language: 'tr', own: { volume: 11 } }),
    );
    await portalRepository.install(oauth.grant('m1'), { ...claim, language: 'de' });
    await eventually(async () =>
      expect(await settings.of('m1', 'radio', volume)).toEqual({ language: 'de', own: { volume: 11 } }),
    );
  });

  it('replaces what one consumer had, and leaves the others’ and other portals’ alone', async () => {
    await portalRepository.install(oauth.grant('m2'), claim);
    await settings.set('m1', 'radio', { volume: 1 });
    await settings.set('m1', 'tv', { volume: 2 });
    await settings.set('m2', 'radio', { volume: 3 });
    await settings.set('m1', 'radio', {});
    const stored = await source.query<unknown[]>(
      'SELECT member_id, settings FROM portals.portals ORDER BY member_id',
    );
    expect(stored).toEqual([
      { member_id: 'm1', settings: { radio: {}, tv: { volume: 2 } } },
      { member_id: 'm2', settings: { radio: { volume: 3 } } },
    ]);
  });

  it('keeps them over an uninstall and the next install', async () => {
    await settings.set('m1', 'radio', { volume: 7 });
    await portalRepository.uninstall('m1');
    await portalRepository.install(oauth.grant('m1'), claim);
    await eventually(async () =>
      expect(await settings.of('m1', 'radio', volume)).toEqual({ language: 'tr', own: { volume: 7 } }),
    );
  });

  it('takes its defaults, and warns once, where something else was stored', async () => {
    await source.query(
      `UPDATE portals.portals SET settings = '{"radio": {"volumen": 7}}' WHERE member_id = 'm1'`,
    );
    const read = () => settings.of('m1', 'radio', volume);
    expect(await read()).toEqual({ language: 'tr', own: { volume: 5 } });
    await read();
    expect(warnings).toEqual([
      {
        event: 'portal.settings.invalid',
        memberId: 'm1',
        consumer: 'radio',
        reasons: [expect.stringContaining('"volumen"')],
      },
    ]);
    await settings.set('m1', 'radio', { volume: 7 });
    await eventually(async () => expect(await read()).toMatchObject({ own: { volume: 7 } }));
  });

  it.each<[string, Record<string, unknown>, string]>([
    [
      'radio',
      { volumen: 7 },
      'the settings have no key "volumen" (did you mean volume?); it takes bands, volume',
    ],
    ['radio', { bands: { onyl: [1] } }, 'bands have no key "onyl" (did you mean only?); it takes only'],
    ['radio', { bands: { constructor: 1 } }, 'bands have no key "constructor"; it takes only'],
    ['radio', { volume: 'loud' }, 'volume: Invalid input: expected number, received string'],
    [
      'radoi',
      {},
      'no consumer radoi has said what may be set for it (did you mean radio?); there are: radio, tv',
    ],
    ['radio', { volume: 1, x: 'x'.repeat(20_000) }, 'settings have 16384 characters at most'],
  ])('of %s rejects %j, and says what would be right', async (consumer, value, message) => {
    await settings.declare(
      'radio',
      volume.extend({ bands: z.strictObject({ only: z.array(z.int()).optional() }).optional() }),
    );
    await expect(settings.set('m1', consumer, value)).rejects.toMatchObject({
      code: 'BAD_SETTINGS',
      message,
    });
  });

  it('sets nothing for a portal that it does not know', async () => {
    await expect(settings.set('nobody', 'radio', {})).rejects.toMatchObject({ code: 'NOT_INSTALLED' });
  });

  it('can be changed key by key, by two at once', async () => {
    const free = z.strictObject({ one: z.number().optional(), other: z.number().optional() });
    await settings.declare('radio', free);
    const sources = await Promise.all([database.connect(), database.connect()]);
    const [mine, theirs] = sources.map((each) => new PortalSettings(each, portalCache, log));
    for (let round = 1; round < 6; round += 1) {
      await Promise.all([
        mine?.change('m1', new Map([['radio', (stored) => ({ ...stored, one: round })]])),
        theirs?.change('m1', new Map([['radio', (stored) => ({ ...stored, other: round })]])),
      ]);
      const [row] = await source.query<{ settings: object }[]>('SELECT settings FROM portals.portals');
      expect(row?.settings).toEqual({ radio: { one: round, other: round } });
    }
  });

  it('cannot be changed to what the consumer does not take, nor at an unknown portal', async () => {
    const change = (memberId: string, value: object) =>
      settings.change(memberId, new Map([['radio', () => ({ ...value })]]));
    await expect(change('m1', { volume: 'loud' })).rejects.toMatchObject({ code: 'BAD_SETTINGS' });
    await expect(change('nobody', { volume: 1 })).rejects.toMatchObject({ code: 'NOT_INSTALLED' });
    await expect(settings.of('m1', 'radio', volume)).resolves.toMatchObject({ own: { volume: 5 } });
  });

  it('are changed for all the consumers that are named, and with what belongs to it, or for none', async () => {
    await settings.declare('clock', z.strictObject({ hours: z.literal(24) }));
    const before = await source.query(SETTINGS_SQL);
    const change = (hours: number, alongside?: (manager: EntityManager) => Promise<void>) =>
      settings.change(
        'm1',
        new Map<string, SettingsChange>([
          ['radio', () => ({ volume: 3 })],
          ['clock', () => ({ hours })],
        ]),
        alongside,
      );
    await expect(change(12)).rejects.toMatchObject({ code: 'BAD_SETTINGS' });
    await expect(change(24, () => Promise.reject(new Error('no mode')))).rejects.toThrow('no mode');
    expect(await source.query(SETTINGS_SQL)).toEqual(before);
    await change(24, (manager) => new OfflineBindings(source).setMode('m1', 'online', manager));
    expect(await source.query(SETTINGS_SQL)).toEqual([
      { settings: { radio: { volume: 3 }, clock: { hours: 24 } }, mode: 'online' },
    ]);
  });
});
