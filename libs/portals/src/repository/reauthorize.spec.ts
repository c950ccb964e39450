import { Bitrix24Error } from '@relay/bitrix24';
import { silentLog } from '@relay/platform';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { clear, dump, keptLog, PortalsDatabase } from '../../test/portals-database.js';
import { SingleUseOAuth } from '../../test/single-use-oauth.js';
import { tokenStore } from '../../test/token-stores.js';
import { hasApplicationToken } from './application-token.js';
import { EventBindings } from '../subscriptions/event-bindings.js';
import { loadPortalsFrom, type KnownPortal } from '../cache/portal-loader.js';
import { PortalRepository } from './portal-repository.js';
import { PortalCircuitBreaker } from '../suspension/portal-circuit-breaker.js';

const memberId = 'm1';
const claim = { domain: 'one.bitrix24.com', applicationToken: 'app-token', language: 'tr' };

describe('a verified pair that comes without an install', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let portalRepository: PortalRepository;
  let oauth: SingleUseOAuth;
  const { log, lines } = keptLog();

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    portalRepository = new PortalRepository(source, database.box, [], log);
    oauth = await SingleUseOAuth.start();
  });
  beforeEach(async () => {
    await clear(source);
    lines.length = 0;
    await portalRepository.install(oauth.grant(memberId), claim);
  });
  afterAll(async () => {
    await oauth.stop();
    await database.close();
  });

  async function known(): Promise<KnownPortal | undefined> {
    const [portal] = await loadPortalsFrom(source)([memberId]);
    return portal;
  }

  it('makes a portal work again that had to authorize, and leaves all else as it was', async () => {
    await new EventBindings(source).save(memberId, 'ONCRMCONTACTADD', 'https://here/', 'bound');
    await source.query(`UPDATE portals.portals SET state = 'needs-reauth', settings = '{"consumer":{}}'`);
    const grant = oauth.grant(memberId);
    await portalRepository.reauthorize(grant);

    const portal = await known();
    expect(portal).toMatchObject({
      state: 'installed',
      domain: claim.domain,
      language: 'tr',
      settings: { consumer: {} },
    });
    expect(hasApplicationToken(portal ?? { tokenHashes: [] }, 'app-token')).toBe(true);
    expect((await new EventBindings(source).of(memberId)).size).toBe(1);
    const tokens = tokenStore({ memberId, dataSource: source, box: database.box, oauthUrl: oauth.url });
    await expect(tokens.access()).resolves.toMatchObject({ accessToken: grant.accessToken });
    expect(lines).toMatchObject([{ level: 'info', message: 'the portal is authorized again' }]);
  });

  it('does not end a suspension, which has other reasons', async () => {
    const error = new Bitrix24Error('OVERLOAD_LIMIT', { httpStatus: 503 });
    await new PortalCircuitBreaker(source, silentLog).note(memberId, { ok: false, method: 'profile', error });
    await portalRepository.reauthorize(oauth.grant(memberId));
    await expect(known()).resolves.toMatchObject({ state: 'suspended' });
  });

  it('keeps an address that could be called when the new one must not be', async () => {
    await portalRepository.reauthorize({ ...oauth.grant(memberId), clientEndpoint: undefined });
    await expect(known()).resolves.toMatchObject({ clientEndpoint: 'https://one.bitrix24.com/rest/' });
  });

  it('installs nothing: not what is unknown, nor what is gone, nor what is known by webhooks', async () => {
    await portalRepository.uninstall(memberId);
    const webhookUrl = 'https://two.bitrix24.com/rest/1/secret/';
    await portalRepository.registerWebhook({ memberId: 'm2', webhookUrl, applicationToken: 't' });
    const before = await dump(source);
    for (const member of [memberId, 'm2', 'm3']) {
      await expect(portalRepository.reauthorize(oauth.grant(member))).rejects.toMatchObject({
        code: 'NOT_INSTALLED',
        memberId: member,
      });
    }
    expect(await dump(source)).toBe(before);
  });
});
