import { silentLog } from '@relay/platform';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { z } from 'zod';
import { eventually } from '../../../../test/support/eventually.js';
import { PortalsDatabase } from '../../test/portals-database.js';
import { TcpProxy } from '../../test/tcp-proxy.js';
import { DatabaseOperatingTimes } from '../rate-limit/database-operating-times.js';
import { countChanged, queryRows } from './sql.js';
import { PortalRepository } from '../repository/portal-repository.js';
import { PortalSettings } from '../repository/portal-settings.js';
import { PortalCircuitBreaker } from '../suspension/portal-circuit-breaker.js';

const grant = (memberId: string) => ({
  memberId,
  clientEndpoint: 'https://one.bitrix24.com/rest/',
  accessToken: 'access',
  refreshToken: 'refresh',
  expiresAt: 0,
  scope: [],
  status: 'L',
  oauthHost: 'oauth.bitrix.info',
});
const nobody = { find: () => Promise.resolve(undefined) };
const claim = { applicationToken: 'token' };

describe('a process that stands still in the middle of a change', () => {
  let database: PortalsDatabase;
  let source: DataSource;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    await new PortalSettings(source, nobody, silentLog).declare('consumer', z.strictObject({}));
  });
  afterAll(() => database.close());

  function registryOn(by: DataSource): PortalRepository {
    return new PortalRepository(by, database.box, []);
  }

  it('does not keep the portal from all others', async () => {
    const changes: Record<string, (by: DataSource, memberId: string) => Promise<unknown>> = {
      install: (by, memberId) => registryOn(by).install(grant(memberId), claim),
      reauthorize: (by, memberId) => registryOn(by).reauthorize(grant(memberId)),
      uninstall: (by, memberId) => registryOn(by).uninstall(memberId),
      language: (by, memberId) => registryOn(by).setLanguage(memberId, 'tr'),
      token: (by, memberId) => registryOn(by).addApplicationToken(memberId, 'token'),
      settings: (by, memberId) => new PortalSettings(by, nobody, silentLog).set(memberId, 'consumer', {}),
      suspend: (by, memberId) => new PortalCircuitBreaker(by, silentLog).suspend(memberId, 'OVERLOAD_LIMIT'),
      bill: (by, memberId) =>
        new DatabaseOperatingTimes(by, silentLog)
          .of(memberId)
          .observe([{ method: 'crm.item.list', operatingSeconds: 480, resetsInMs: 60_000, exhausted: true }]),
    };
    const standStill = async (name: string): Promise<void> => {
      const change = changes[name];
      await registryOn(source).install(grant(name), claim);
      const proxy = await TcpProxy.open(database.url);
      const frozen = await database.connect(proxy.url);
      proxy.freezeAt('COMMIT');
      const changed = change?.(frozen, name).catch((error: unknown) => error);
      await eventually(async () => expect(await isLocked(source, name)).toBe(true));
      await eventually(async () => expect(await isLocked(source, name)).toBe(false), { timeoutMs: 40_000 });
      await proxy.close();
      await changed;
    };
    await Promise.all(Object.keys(changes).map(standStill));
  });
});

/** Whether somebody has changed the portal, or a row that refers to it, and not said the last word. */
async function isLocked(source: DataSource, memberId: string): Promise<boolean> {
  const seen = source.query(`SELECT 1 FROM portals.portals WHERE member_id = $1 FOR UPDATE NOWAIT`, [
    memberId,
  ]);
  return await seen.then(
    () => false,
    () => true,
  );
}

describe('a statement', () => {
  let database: PortalsDatabase;
  let source: DataSource;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
  });
  afterAll(() => database.close());

  it('gives its rows as they are, whether it reads or changes them', async () => {
    const values = `consumer = 'one' RETURNING consumer, name`;
    const rows = [
      { consumer: 'one', name: 'A' },
      { consumer: 'one', name: 'B' },
    ];
    await expect(
      queryRows(
        source,
        `INSERT INTO portals.subscriptions (consumer, name) VALUES ('one', $1), ('one', $2) RETURNING consumer, name`,
        ['A', 'B'],
      ),
    ).resolves.toEqual(rows);
    await expect(
      queryRows(source, `SELECT consumer, name FROM portals.subscriptions ORDER BY name`),
    ).resolves.toEqual(rows);
    await expect(
      queryRows(source, `UPDATE portals.subscriptions SET since = now() WHERE ${values}`),
    ).resolves.toEqual(rows);
    await expect(queryRows(source, `SELECT 1 WHERE false`)).resolves.toEqual([]);
    await expect(
      queryRows(source, `UPDATE portals.subscriptions SET since = now() WHERE false RETURNING name`),
    ).resolves.toEqual([]);
    await expect(queryRows(source, `DELETE FROM portals.subscriptions WHERE ${values}`)).resolves.toEqual(
      rows,
    );
  });

  it('tells how many rows it has changed', async () => {
    const update = `UPDATE portals.subscriptions SET since = now() WHERE consumer = $1`;
    await expect(countChanged(source, update, ['two'])).resolves.toBe(0);
    await source.query(
      `INSERT INTO portals.subscriptions (consumer, name) VALUES ('two', 'A'), ('two', 'B')`,
    );
    await expect(countChanged(source, update, ['two'])).resolves.toBe(2);
    await expect(
      countChanged(source, 'DELETE FROM portals.subscriptions WHERE consumer = $1', ['two']),
    ).resolves.toBe(2);
  });
});
