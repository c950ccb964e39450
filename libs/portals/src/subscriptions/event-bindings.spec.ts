import { silentLog } from '@relay/platform';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { clear, PortalsDatabase } from '../../test/portals-database.js';
import { EventBindings } from './event-bindings.js';
import { PortalRepository } from '../repository/portal-repository.js';
import { Subscriptions } from './subscriptions.js';
import { PortalCircuitBreaker } from '../suspension/portal-circuit-breaker.js';

const here = 'https://relay.example.com/b24/events';
const elsewhere = 'https://old.example.com/b24/events';

describe('EventBindings', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let bindings: EventBindings;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    bindings = new EventBindings(source);
  });
  beforeEach(async () => {
    await clear(source);
    const portalRepository = new PortalRepository(source, database.box, []);
    for (const memberId of ['m1', 'm2']) {
      await portalRepository.registerWebhook({
        memberId,
        webhookUrl: 'https://one.bitrix24.com/rest/1/secret/',
        applicationToken: 'token',
      });
    }
  });
  afterAll(() => database.close());

  async function install(memberId: string): Promise<void> {
    const grant = {
      memberId,
      clientEndpoint: 'https://one.bitrix24.com/rest/',
      accessToken: 'access',
      refreshToken: 'refresh',
      expiresAt: 0,
      scope: [],
      status: 'L',
      oauthHost: 'oauth.bitrix.info',
    };
    const claim = { domain: 'one.bitrix24.com', applicationToken: 'token' };
    await new PortalRepository(source, database.box, []).install(grant, claim);
  }

  it('remembers for each portal what was bound and what it does not know', async () => {
    await bindings.save('m1', 'ONCRMCONTACTADD', here, 'bound');
    await bindings.save('m1', 'ONCRMDYNAMICITEMADD_147', here, 'unknown-event');
    await bindings.save('m2', 'ONCRMCONTACTADD', here, 'unknown-event');
    await expect(bindings.of('m1')).resolves.toEqual(
      new Map([
        ['ONCRMCONTACTADD', { handler: here, state: 'bound', boundAt: expect.any(Date) }],
        ['ONCRMDYNAMICITEMADD_147', { handler: here, state: 'unknown-event', boundAt: expect.any(Date) }],
      ]),
    );
  });

  it('replaces what it knew of an event', async () => {
    await bindings.save('m1', 'ONCRMCONTACTADD', elsewhere, 'unknown-event');
    await bindings.save('m1', 'ONCRMCONTACTADD', here, 'bound');
    await expect(bindings.of('m1')).resolves.toEqual(
      new Map([['ONCRMCONTACTADD', { handler: here, state: 'bound', boundAt: expect.any(Date) }]]),
    );
  });

  it('forgets one portal and no other', async () => {
    await bindings.save('m1', 'ONCRMCONTACTADD', here, 'bound');
    await bindings.save('m2', 'ONCRMCONTACTADD', here, 'bound');
    await bindings.forget('m1');
    await expect(bindings.of('m1')).resolves.toEqual(new Map());
    await expect(bindings.of('m2')).resolves.toEqual(
      new Map([['ONCRMCONTACTADD', { handler: here, state: 'bound', boundAt: expect.any(Date) }]]),
    );
  });

  it('tells what is missing at each portal where the application is installed', async () => {
    for (const memberId of ['m3', 'm4', 'm5']) await install(memberId);
    await new PortalRepository(source, database.box, []).uninstall('m5');
    await bindings.save('m3', 'ONE', here, 'bound');
    await bindings.save('m3', 'TWO', here, 'unknown-event');
    await bindings.save('m4', 'TWO', here, 'bound');
    await expect(bindings.missing(['TWO', 'ONE', 'ONE'], here)).resolves.toEqual(new Map([['m4', ['ONE']]]));
    await expect(bindings.missing(['THREE', 'ONE'], here)).resolves.toEqual(
      new Map([
        ['m3', ['THREE']],
        ['m4', ['ONE', 'THREE']],
      ]),
    );
    await expect(bindings.missing([], here)).resolves.toEqual(new Map());
  });

  it('misses what was bound to another address, or before addresses were kept', async () => {
    await install('m3');
    await bindings.save('m3', 'ONE', elsewhere, 'bound');
    await bindings.save('m3', 'TWO', here, 'bound');
    await source.query(
      `INSERT INTO portals.event_bindings (member_id, name, state) VALUES ('m3', 'THREE', 'bound')`,
    );
    await expect(bindings.missing(['ONE', 'TWO', 'THREE'], here)).resolves.toEqual(
      new Map([['m3', ['ONE', 'THREE']]]),
    );
    await bindings.save('m3', 'ONE', here, 'bound');
    await expect(bindings.missing(['ONE'], here)).resolves.toEqual(new Map());
    await expect(bindings.missing(['ONE'], elsewhere)).resolves.toEqual(new Map([['m3', ['ONE']]]));
  });

  it('tells which handlers nobody wants any more, and forgets those that are gone', async () => {
    for (const memberId of ['m3', 'm4', 'm5']) await install(memberId);
    await new PortalRepository(source, database.box, []).uninstall('m5');
    for (const memberId of ['m3', 'm4', 'm5']) await bindings.save(memberId, 'ONE', here, 'bound');
    for (const memberId of ['m3', 'm4']) await bindings.save(memberId, 'TWO', here, 'bound');
    await bindings.save('m3', 'UNKNOWN', here, 'unknown-event');
    await bindings.save('m3', 'FORMER', elsewhere, 'bound');
    await expect(bindings.unwanted(['TWO'], here)).resolves.toEqual(
      new Map([
        ['m3', ['ONE']],
        ['m4', ['ONE']],
      ]),
    );
    await expect(bindings.unwanted(['ONE', 'TWO'], here)).resolves.toEqual(new Map());
    await bindings.remove('m3', ['ONE']);
    await expect(bindings.unwanted(['TWO'], here)).resolves.toEqual(new Map([['m4', ['ONE']]]));
    await expect(bindings.names()).resolves.toEqual(['FORMER', 'ONE', 'TWO', 'UNKNOWN']);
  });

  it('wants a basic name as long as it stands in for a suffixed one', async () => {
    await install('m3');
    await bindings.save('m3', 'ONITEMADD_147', here, 'unknown-event');
    await bindings.save('m3', 'ONITEMADD', here, 'bound');
    await expect(bindings.unwanted(['ONITEMADD_147'], here)).resolves.toEqual(new Map());
    await bindings.save('m3', 'ONITEMADD_148', here, 'bound');
    await expect(bindings.unwanted(['ONITEMADD_148'], here)).resolves.toEqual(
      new Map([['m3', ['ONITEMADD']]]),
    );
  });

  it('takes nothing away from a portal before all that is wanted is bound there', async () => {
    await install('m3');
    await bindings.save('m3', 'ONE', here, 'bound');
    await expect(bindings.unwanted(['TWO'], here)).resolves.toEqual(new Map());
    await bindings.save('m3', 'TWO', here, 'bound');
    await expect(bindings.unwanted(['TWO'], here)).resolves.toEqual(new Map([['m3', ['ONE']]]));
  });

  it('does not leave out for ever a portal that was suspended before it was bound', async () => {
    await install('m3');
    await new PortalCircuitBreaker(source, silentLog).suspend('m3', 'OVERLOAD_LIMIT');
    await expect(bindings.missing(['ONE'], here)).resolves.toEqual(new Map());
    await source.query(`UPDATE portals.portals SET suspended_until = now() WHERE member_id = 'm3'`);
    await expect(bindings.missing(['ONE'], here)).resolves.toEqual(new Map([['m3', ['ONE']]]));
  });

  describe('where a consumer has chosen other names for a portal', () => {
    let subscriptions: Subscriptions;

    beforeEach(async () => {
      subscriptions = new Subscriptions(source, { on: () => () => undefined });
      await subscriptions.record('mirror', ['ADD', 'TYPEADD']);
      for (const memberId of ['m3', 'm4']) {
        await install(memberId);
        for (const name of ['ADD', 'TYPEADD', 'OWN']) await bindings.save(memberId, name, here, 'bound');
      }
      await subscriptions.override('mirror', 'm3', ['ADD_147', 'TYPEADD']);
    });

    async function missing(): Promise<Map<string, string[]>> {
      return await bindings.missing(['OWN', ...(await subscriptions.wanted())], here);
    }

    async function unwanted(): Promise<Map<string, string[]>> {
      return await bindings.unwanted(['OWN', ...(await subscriptions.wanted())], here);
    }

    it('misses those there, and then wants no more what it had bound before, nowhere else', async () => {
      expect(await missing()).toEqual(new Map([['m3', ['ADD_147']]]));
      expect(await unwanted()).toEqual(new Map());
      await bindings.save('m3', 'ADD_147', here, 'bound');
      expect(await unwanted()).toEqual(new Map([['m3', ['ADD']]]));
      await bindings.remove('m3', ['ADD']);
      expect([await missing(), await unwanted()]).toEqual([new Map(), new Map()]);
    });

    it('misses the usual names again when the choice is taken back', async () => {
      await bindings.remove('m3', ['ADD']);
      await subscriptions.override('mirror', 'm3', undefined);
      expect(await missing()).toEqual(new Map([['m3', ['ADD']]]));
    });

    it('wants no more what was chosen before, and still what a consumer wants of every portal', async () => {
      for (const memberId of ['m3', 'm4']) await bindings.save(memberId, 'ADD_151', here, 'bound');
      for (const name of ['ADD_147', 'ADD_150']) await bindings.save('m3', name, here, 'bound');
      await subscriptions.record('other', ['ADD_151']);
      expect((await unwanted()).get('m3')).toEqual(['ADD', 'ADD_150']);
      await subscriptions.override('mirror', 'm3', undefined);
      expect((await unwanted()).get('m3')).toEqual(['ADD_147', 'ADD_150']);
    });

    it('keeps what another consumer wants of every portal', async () => {
      await subscriptions.record('other', ['ADD']);
      await bindings.save('m3', 'ADD_147', here, 'bound');
      expect(await unwanted()).toEqual(new Map());
    });

    it('keeps the basic event at a portal that does not know a chosen one', async () => {
      await bindings.save('m3', 'ADD_147', here, 'unknown-event');
      expect([await missing(), await unwanted()]).toEqual([new Map(), new Map()]);
    });
  });
});
