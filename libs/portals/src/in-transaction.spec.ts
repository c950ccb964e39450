import { silentLog } from '@relay/platform';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { z } from 'zod';
import { eventually } from '../../../test/support/eventually.js';
import { PortalsDatabase } from '../test/portals-database.js';
import { TcpProxy } from '../test/tcp-proxy.js';
import { DatabaseOperatingTimes } from './rate-limit/database-operating-times.js';
import { PortalRepository } from './repository/portal-repository.js';
import { PortalSettings } from './repository/portal-settings.js';
import { Suspensions } from './suspension/suspensions.js';

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
      suspend: (by, memberId) => new Suspensions(by, silentLog).suspend(memberId, 'OVERLOAD_LIMIT'),
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
