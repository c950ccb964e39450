import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { silentLog } from '@relay/platform';
import type { DataSource } from 'typeorm';
import { installedPortals } from '../../test/installed-portals.js';
import { clear, dump, PortalsDatabase } from '../../test/portals-database.js';
import { SingleUseOAuth } from '../../test/single-use-oauth.js';
import { hasApplicationToken } from './application-token.js';
import { EventBindings } from '../subscriptions/event-bindings.js';
import { loadPortalsFrom, type KnownPortal } from '../cache/portal-loader.js';
import { PendingInstalls } from '../installs/pending-installs.js';
import { PortalRepository } from './portal-repository.js';

const claim = { domain: 'one.bitrix24.com', applicationToken: 'token-1' };

describe('PortalRepository', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let portalRepository: PortalRepository;
  let bindings: EventBindings;
  let oauth: SingleUseOAuth;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    portalRepository = new PortalRepository(source, database.box, []);
    bindings = new EventBindings(source);
    oauth = await SingleUseOAuth.start();
  });
  beforeEach(() => clear(source));
  afterAll(async () => {
    await oauth.stop();
    await database.close();
  });

  async function portal(memberId = 'm1'): Promise<KnownPortal> {
    const [found] = await loadPortalsFrom(source)([memberId]);
    if (!found) throw new Error('not stored');
    return found;
  }

  async function lets(token: string): Promise<boolean> {
    return hasApplicationToken(await portal(), token);
  }

  it('stores a portal with its credentials sealed and its token hashed', async () => {
    const grant = oauth.grant('m1');
    await portalRepository.install(grant, claim);
    await expect(installedPortals(source)).resolves.toEqual(['m1']);
    await expect(lets('token-1')).resolves.toBe(true);
    const stored = await dump(source);
    expect(stored).toContain('m1');
    for (const secret of [grant.accessToken, grant.refreshToken, 'token-1'])
      expect(stored).not.toContain(secret);
  });

  it('replaces address, credentials and application token at the next install, and forgets the bindings', async () => {
    await portalRepository.install(oauth.grant('m1'), claim);
    await bindings.save('m1', 'ONCRMCONTACTADD', 'https://relay.example.com/b24/events', 'bound');
    await portalRepository.install(
      { ...oauth.grant('m1'), clientEndpoint: 'https://moved.bitrix24.com/rest/' },
      { applicationToken: 'token-2' },
    );
    await expect(portal()).resolves.toMatchObject({
      domain: 'moved.bitrix24.com',
      clientEndpoint: 'https://moved.bitrix24.com/rest/',
    });
    await expect(lets('token-1')).resolves.toBe(false);
    await expect(lets('token-2')).resolves.toBe(true);
    await expect(bindings.of('m1')).resolves.toEqual(new Map());
  });

  it('learns the language from an install that names one, and keeps it over one that does not', async () => {
    await portalRepository.install(oauth.grant('m1'), claim);
    await expect(portal()).resolves.toMatchObject({ language: null });
    await portalRepository.install(oauth.grant('m1'), { ...claim, language: 'tr' });
    await portalRepository.install(oauth.grant('m1'), claim);
    await expect(portal()).resolves.toMatchObject({ language: 'tr' });
    await portalRepository.install(oauth.grant('m1'), { ...claim, language: 'de' });
    await expect(portal()).resolves.toMatchObject({ language: 'de' });
  });

  it('keeps the tokens of outgoing webhooks over an install', async () => {
    await portalRepository.install(oauth.grant('m1'), claim);
    await portalRepository.addApplicationToken('m1', 'token-of-an-update');
    await portalRepository.addApplicationToken('m1', 'token-of-a-webhook', 'webhook');
    await portalRepository.install(oauth.grant('m1'), { ...claim, applicationToken: 'token-2' });
    await expect(lets('token-of-a-webhook')).resolves.toBe(true);
    await expect(lets('token-of-an-update')).resolves.toBe(false);
  });

  it('lets both in when a token is added, and takes the same token twice', async () => {
    await portalRepository.install(oauth.grant('m1'), claim);
    await portalRepository.addApplicationToken('m1', 'token-2');
    await portalRepository.addApplicationToken('m1', 'token-2');
    await expect(lets('token-1')).resolves.toBe(true);
    await expect(lets('token-2')).resolves.toBe(true);
    expect((await portal()).tokenHashes).toHaveLength(2);
  });

  it('adds no token to a portal that it does not know', async () => {
    await expect(portalRepository.addApplicationToken('nobody', 'token')).rejects.toMatchObject({
      code: 'NOT_INSTALLED',
    });
  });

  it('changes nothing at all when a part of an install fails', async () => {
    await portalRepository.install(oauth.grant('m1'), claim);
    await bindings.save('m1', 'ONCRMCONTACTADD', 'https://relay.example.com/b24/events', 'bound');
    const before = await dump(source);
    await expect(
      portalRepository.install(oauth.grant('m1'), { ...claim, applicationToken: '' }),
    ).rejects.toThrow(RangeError);
    await expect(dump(source)).resolves.toBe(before);
  });

  it('ends in one of the installs when many arrive at once', async () => {
    const tokens = Array.from({ length: 10 }, (_, index) => `token-${index}`);
    await Promise.all(
      tokens.map((applicationToken) =>
        portalRepository.install(oauth.grant('m1'), { ...claim, applicationToken }),
      ),
    );
    const let_ = await Promise.all(tokens.map(lets));
    expect(let_.filter(Boolean)).toHaveLength(1);
  });

  it('forgets credentials and bindings at an uninstall, yet still knows a repeated one by its token', async () => {
    await portalRepository.install(oauth.grant('m1'), claim);
    await bindings.save('m1', 'ONCRMCONTACTADD', 'https://relay.example.com/b24/events', 'bound');
    await portalRepository.uninstall('m1');
    await portalRepository.uninstall('m1');
    await expect(portal()).resolves.toMatchObject({ state: 'uninstalled' });
    await expect(lets('token-1')).resolves.toBe(true);
    await expect(installedPortals(source)).resolves.toEqual([]);
    await expect(bindings.of('m1')).resolves.toEqual(new Map());
    await expect(source.query('SELECT * FROM portals.credentials')).resolves.toEqual([]);
  });

  it.each([
    [true, { settings: {}, language: null }],
    [false, { settings: { 'name-formatter': { particles: 'keep' } }, language: 'tr' }],
  ])('at an uninstall with clean %j leaves %j', async (clean, left) => {
    await portalRepository.install(oauth.grant('m1'), { ...claim, language: 'tr' });
    await source.query(`UPDATE portals.portals SET settings = '{"name-formatter":{"particles":"keep"}}'`);
    await portalRepository.uninstall('m1', { clean });
    await expect(portal()).resolves.toMatchObject({ state: 'uninstalled', ...left });
  });

  it('forgets the claims of the installation that is gone, and not those that came after', async () => {
    const pending = new PendingInstalls(source, database.box, silentLog);
    const later = { ...claim, memberId: 'm1', accessToken: 'access' };
    await portalRepository.install(oauth.grant('m1'), claim);
    await pending.keep({ ...later, refreshToken: 'before' });
    await portalRepository.uninstall('m1');
    await pending.keep({ ...later, refreshToken: 'after' });
    await portalRepository.uninstall('m1', { clean: true });
    await expect(source.query('SELECT member_id FROM portals.pending_installs')).resolves.toHaveLength(1);
  });

  it('keeps the application token where the next install brings none, and takes a portal without any', async () => {
    await portalRepository.install(oauth.grant('m1'), claim);
    await portalRepository.install(oauth.grant('m1'), {});
    await expect(lets('token-1')).resolves.toBe(true);
    await portalRepository.install(oauth.grant('m2'), {});
    await expect(portal('m2')).resolves.toMatchObject({ state: 'installed', tokenHashes: [] });
  });

  it('takes the uninstall of a portal that it never knew', async () => {
    await expect(portalRepository.uninstall('nobody')).resolves.toBeUndefined();
  });

  it('installs again after an uninstall', async () => {
    await portalRepository.install(oauth.grant('m1'), claim);
    await portalRepository.uninstall('m1');
    await portalRepository.install(oauth.grant('m1'), claim);
    await expect(installedPortals(source)).resolves.toEqual(['m1']);
  });

  it('names only portals where the application works', async () => {
    for (const memberId of ['m3', 'm1', 'm2']) await portalRepository.install(oauth.grant(memberId), claim);
    await portalRepository.uninstall('m2');
    const webhookUrl = 'https://four.bitrix24.com/rest/1/webhook-secret/';
    await portalRepository.registerWebhook({ memberId: 'm4', webhookUrl, ...claim });
    await expect(installedPortals(source)).resolves.toEqual(['m1', 'm3']);
  });

  describe('with webhooks', () => {
    const webhook = {
      memberId: 'm1',
      ...claim,
      webhookUrl: 'https://one.bitrix24.com/rest/1/webhook-secret',
    };

    it('stores the address sealed, and shows its harmless part only', async () => {
      await portalRepository.registerWebhook(webhook);
      await expect(dump(source)).resolves.not.toContain('webhook-secret');
      await expect(portal()).resolves.toMatchObject({
        clientEndpoint: 'https://one.bitrix24.com/rest/',
        state: 'installed',
      });
      await expect(lets('token-1')).resolves.toBe(true);
    });

    it('leaves the credentials of an installed application alone', async () => {
      await portalRepository.install(oauth.grant('m1'), claim);
      await portalRepository.registerWebhook({ ...webhook, applicationToken: 'token-of-a-webhook' });
      await expect(installedPortals(source)).resolves.toEqual(['m1']);
      await expect(lets('token-of-a-webhook')).resolves.toBe(true);
    });

    it('does not believe the token of an application that was uninstalled again', async () => {
      await portalRepository.install(oauth.grant('m1'), claim);
      await portalRepository.uninstall('m1');
      await portalRepository.registerWebhook({ ...webhook, applicationToken: 'token-of-a-webhook' });
      await expect(portal()).resolves.toMatchObject({ state: 'installed' });
      await expect(lets(claim.applicationToken)).resolves.toBe(false);
      await expect(lets('token-of-a-webhook')).resolves.toBe(true);
    });

    it('does not store an address that must not be called', async () => {
      const before = await dump(source);
      for (const webhookUrl of ['http://one.bitrix24.com/rest/1/s/', 'https://127.0.0.1/rest/1/s/']) {
        await expect(portalRepository.registerWebhook({ ...webhook, webhookUrl })).rejects.toMatchObject({
          code: 'BAD_ADDRESS',
        });
      }
      await expect(dump(source)).resolves.toBe(before);
    });
  });
});
