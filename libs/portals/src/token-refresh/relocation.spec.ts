import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { clear, keptLog, PortalsDatabase } from '../../test/portals-database.js';
import { SingleUseOAuth } from '../../test/single-use-oauth.js';
import { tokenStore, type StoreOptions } from '../../test/token-stores.js';
import { PortalRepository } from '../repository/portal-repository.js';
import type { DatabaseTokenStore } from './database-token-store.js';

const memberId = 'm1';
const claim = { domain: 'one.bitrix24.com', applicationToken: 'app-token' };
const oldEndpoint = 'https://one.bitrix24.com/rest/';
const newEndpoint = 'https://renamed.bitrix24.com/rest/';
const moved = expect.objectContaining({ code: 'REDIRECT', recovery: 'reauthorize', memberId });

describe('a portal that responds 302', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let oauth: SingleUseOAuth;
  let portalRepository: PortalRepository;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    portalRepository = new PortalRepository(source, database.box, []);
  });
  beforeEach(async () => {
    await clear(source);
    oauth = await SingleUseOAuth.start();
    await portalRepository.install(oauth.grant(memberId), claim);
  });
  afterEach(() => oauth.stop());
  afterAll(() => database.close());

  function store(changes: Partial<StoreOptions> = {}): DatabaseTokenStore {
    return tokenStore({ memberId, dataSource: source, box: database.box, oauthUrl: oauth.url, ...changes });
  }

  async function tokensAskedHoursAgo(): Promise<void> {
    await source.query(`UPDATE portals.credentials SET relocation_asked_at = now() - interval '1 hour'`);
  }

  it('is called where the OAuth server says that it is, and the log tells', async () => {
    oauth.answer = { client_endpoint: newEndpoint };
    const { log, lines } = keptLog();
    await expect(store({ log }).relocate(oldEndpoint)).resolves.toMatchObject({ endpoint: newEndpoint });
    await expect(store().access()).resolves.toMatchObject({ endpoint: newEndpoint });
    const rows = await source.query<unknown[]>(
      'SELECT domain, client_endpoint AS endpoint FROM portals.portals',
    );
    expect(rows).toEqual([{ domain: 'renamed.bitrix24.com', endpoint: newEndpoint }]);
    expect(lines).toEqual([
      { level: 'info', fields: { memberId, host: 'renamed.bitrix24.com' }, message: 'portal renamed' },
    ]);
  });

  it('is asked for once, however many processes and calls find it gone', async () => {
    oauth.answer = { client_endpoint: newEndpoint };
    const processes = await Promise.all(Array.from({ length: 4 }, () => database.connect()));
    const relocations = processes.flatMap((dataSource) => {
      const tokens = store({ dataSource });
      return [tokens.relocate(oldEndpoint), tokens.relocate(oldEndpoint)];
    });
    for (const access of await Promise.all(relocations)) expect(access.endpoint).toBe(newEndpoint);
    expect(oauth.exchanges.get(memberId)).toBe(1);
  });

  it('that nobody confirms anywhere else gets no token; its new pair is kept', async () => {
    await expect(store().relocate(oldEndpoint)).rejects.toEqual(moved);
    const access = await store().access();
    await expect(store().refresh(access.kind === 'oauth' ? access.accessToken : '')).resolves.toMatchObject({
      endpoint: oldEndpoint,
    });
  });

  it('does not move to an address that must not be called', async () => {
    oauth.answer = { client_endpoint: 'http://169.254.169.254/rest/' };
    await expect(store().relocate(oldEndpoint)).rejects.toEqual(moved);
    await expect(store().access()).resolves.toMatchObject({ endpoint: oldEndpoint });
  });

  it('for ever makes us ask the OAuth server once in ten minutes', async () => {
    await expect(store().relocate(oldEndpoint)).rejects.toEqual(moved);
    for (let call = 0; call < 5; call += 1) {
      await expect(store().relocate(oldEndpoint)).rejects.toMatchObject({
        code: 'REDIRECT',
        retryAfterMs: expect.any(Number),
      });
    }
    expect(oauth.exchanges.get(memberId)).toBe(1);
    await tokensAskedHoursAgo();
    oauth.answer = { client_endpoint: newEndpoint };
    await expect(store().relocate(oldEndpoint)).resolves.toMatchObject({ endpoint: newEndpoint });
    expect(oauth.exchanges.get(memberId)).toBe(2);
  });

  it('and is known by a webhook stays where the operator said, until the operator says otherwise', async () => {
    const webhookUrl = 'https://two.bitrix24.com/rest/1/webhook-secret/';
    await portalRepository.registerWebhook({ memberId: 'm2', webhookUrl, applicationToken: 't' });
    const tokens = store({ memberId: 'm2' });
    await expect(tokens.relocate(webhookUrl)).rejects.toMatchObject({ code: 'REDIRECT', memberId: 'm2' });
    expect(oauth.exchanges.size).toBe(0);
    await expect(tokens.relocate('https://former.bitrix24.com/rest/1/webhook-secret/')).resolves.toEqual({
      kind: 'webhook',
      endpoint: webhookUrl,
    });
  });
});
