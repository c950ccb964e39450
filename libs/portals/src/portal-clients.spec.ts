import { silentLog } from '@relay/platform';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { eventually } from '../../../test/support/eventually.js';
import { collectGarbage } from '../test/collect-garbage.js';
import { clear, PortalsDatabase } from '../test/portals-database.js';
import { SimplePortal } from '../test/simple-portal.js';
import { SingleUseOAuth } from '../test/single-use-oauth.js';
import { quickTimings } from '../test/token-stores.js';
import { PortalClients } from './portal-clients.js';
import { PortalRepository } from './repository/portal-repository.js';
import { PortalCircuitBreaker } from './suspension/portal-circuit-breaker.js';

const memberId = 'm1';
const maxIdlePortals = 5;
const expired = { status: 401, body: { error: 'expired_token' } };
const done = { status: 200, body: { result: 'done' } };

describe('the clients of one portal in a process', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let oauth: SingleUseOAuth;
  let portal: SimplePortal;
  let circuitBreaker: PortalCircuitBreaker;
  let clients: PortalClients;
  let stale: string;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
  });
  beforeEach(async () => {
    await clear(source);
    [oauth, portal] = [await SingleUseOAuth.start(), await SimplePortal.start()];
    oauth.answer = { client_endpoint: portal.clientEndpoint };
    const grant = { ...oauth.grant(memberId), clientEndpoint: portal.clientEndpoint };
    stale = grant.accessToken;
    const allowHosts = ['127.0.0.1'];
    await new PortalRepository(source, database.box, allowHosts).install(grant, {
      applicationToken: 't',
    });
    circuitBreaker = new PortalCircuitBreaker(source, silentLog);
    clients = new PortalClients({
      dataSource: source,
      box: database.box,
      circuitBreaker,
      oauth: { urls: [oauth.url], clientId: 'id', clientSecret: 'secret' },
      allowHosts,
      log: silentLog,
      timings: quickTimings,
      maxIdlePortals,
    });
  });
  afterEach(async () => {
    await clients.close();
    await Promise.all([oauth.stop(), portal.stop()]);
  });
  afterAll(() => database.close());

  it('are one for each priority, and refresh an expired token once for both', async () => {
    portal.answer = (token) => (token === stale ? expired : done);
    const [interactive, background] = [
      clients.for(memberId),
      clients.for(memberId, { priority: 'background' }),
    ];
    expect(interactive).not.toBe(background);
    expect(clients.for(memberId, { priority: 'interactive' })).toBe(interactive);
    expect(clients.for(memberId, { priority: 'background' })).toBe(background);
    await Promise.all([interactive.call('profile'), background.call('profile')]);
    expect(oauth.exchanges.get(memberId)).toBe(1);
    expect(new Set(portal.asked.map(({ token }) => token)).size).toBe(2);
  });

  it('refresh the tokens of three portals at once at most, however many expire', async () => {
    let running = 0;
    let most = 0;
    const memberIds = Array.from({ length: 8 }, (_, index) => `many-${index}`);
    const staleTokens = new Set<string>();
    for (const each of memberIds) {
      const grant = { ...oauth.grant(each), clientEndpoint: portal.clientEndpoint };
      staleTokens.add(grant.accessToken);
      await new PortalRepository(source, database.box, ['127.0.0.1']).install(grant, {});
    }
    portal.answer = (token) => (staleTokens.has(token) ? expired : done);
    oauth.beforeAnswer = async () => {
      running += 1;
      most = Math.max(most, running);
      // The first of them wait for as many as may run.
      await eventually(() => expect(most).toBe(3));
      running -= 1;
    };
    await Promise.all(memberIds.map((each) => clients.for(each).call('profile')));
    expect(most).toBe(3);
    expect([...oauth.exchanges.values()]).toEqual(memberIds.map(() => 1));
  });

  it('are kept for the portals that were used last, and share the refresh while one is used that is not kept', async () => {
    portal.answer = (token) => (token === stale ? expired : done);
    const inUse = clients.for(memberId);
    const tokens = new WeakRef(clients.tokens(memberId));
    const idle = new WeakRef(clients.for('idle'));
    for (let other = 0; other < maxIdlePortals; other += 1) clients.for(`other-${other}`);
    await eventually(() => {
      collectGarbage();
      expect(idle.deref()).toBeUndefined();
    });
    const another = clients.for(memberId);
    expect(another).not.toBe(inUse);
    expect(clients.tokens(memberId)).toBe(tokens.deref());
    oauth.beforeAnswer = () => eventually(() => expect(portal.asked).toHaveLength(2));
    await Promise.all([inUse.call('profile'), another.call('profile')]);
    expect(oauth.exchanges.get(memberId)).toBe(1);
    expect(portal.asked.map(({ token }) => token === stale)).toEqual([true, true, false, false]);
  });

  it('stop calling a portal that is blocked, until its next try, which ends it', async () => {
    portal.answer = () => ({ status: 503, body: { error: 'OVERLOAD_LIMIT' } });
    await expect(clients.for(memberId).call('profile')).rejects.toMatchObject({ code: 'OVERLOAD_LIMIT' });
    const { length } = portal.asked;
    portal.answer = () => done;
    for (const priority of ['interactive', 'background'] as const) {
      await expect(clients.for(memberId, { priority }).call('profile')).rejects.toMatchObject({
        code: 'PORTAL_SUSPENDED',
      });
    }
    expect(portal.asked).toHaveLength(length);

    await source.query('UPDATE portals.portals SET suspended_until = now()');
    await expect(clients.for(memberId).call('profile')).resolves.toMatchObject({ result: 'done' });
    await expect(clients.for(memberId, { priority: 'background' }).call('profile')).resolves.toMatchObject({
      result: 'done',
    });
  });

  it('go on calling a portal that does not show one item to them', async () => {
    portal.answer = () => ({ status: 403, body: { error: 'ACCESS_DENIED' } });
    await expect(clients.for(memberId).call('crm.item.get')).rejects.toMatchObject({ code: 'ACCESS_DENIED' });
    portal.answer = () => done;
    await expect(clients.for(memberId).call('profile')).resolves.toMatchObject({ result: 'done' });
  });

  it('follow a renamed portal to where the OAuth server says that it is, and nowhere else', async () => {
    const renamed = await SimplePortal.start();
    const elsewhere = await SimplePortal.start();
    portal.answer = () => ({ status: 302, body: {}, headers: { location: elsewhere.clientEndpoint } });
    oauth.answer = { client_endpoint: renamed.clientEndpoint };
    await expect(clients.for(memberId).call('profile')).resolves.toMatchObject({ result: 'done' });
    await expect(clients.for(memberId).call('profile')).resolves.toMatchObject({ result: 'done' });
    expect([portal, renamed, elsewhere].map(({ asked }) => asked.length)).toEqual([1, 2, 0]);
    await Promise.all([renamed.stop(), elsewhere.stop()]);
  });
});
