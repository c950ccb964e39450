import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { eventually } from '../../../../test/support/eventually.js';
import { clear, dump, PortalsDatabase } from '../../test/portals-database.js';
import { hasApplicationToken } from '../repository/application-token.js';
import { PortalRepository } from '../repository/portal-repository.js';
import { loadPortalsFrom } from '../cache/portal-loader.js';
import { WebhookPairs } from './webhook-pairs.js';

const pair = {
  webhookUrl: 'https://one.bitrix24.com/rest/1/webhook-secret/',
  applicationToken: 'token-secret',
};

describe('WebhookPairs', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let pairs: WebhookPairs;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
  });
  beforeEach(async () => {
    await clear(source);
    await source.query('TRUNCATE portals.webhook_pairs');
    pairs = new WebhookPairs(source, database.box, new PortalRepository(source, database.box, []), []);
  });
  afterAll(() => database.close());

  it('registers the portal when its first event brings the token', async () => {
    await expect(pairs.add(pair)).resolves.toBe('one.bitrix24.com');
    await expect(pairs.claim('m1', pair.applicationToken)).resolves.toBe(true);
    const [portal] = await loadPortalsFrom(source)(['m1']);
    expect(portal).toMatchObject({ state: 'installed', domain: 'one.bitrix24.com' });
    expect(portal && hasApplicationToken(portal, pair.applicationToken)).toBe(true);
  });

  it('lets no other token in', async () => {
    await pairs.add(pair);
    await expect(pairs.claim('m1', 'another-token')).resolves.toBe(false);
    await expect(pairs.claim('m1', '')).resolves.toBe(false);
    await expect(loadPortalsFrom(source)(['m1'])).resolves.toEqual([]);
  });

  it('believes one portal alone, and that one again', async () => {
    await pairs.add(pair);
    await pairs.claim('m1', pair.applicationToken);
    await expect(pairs.claim('m1', pair.applicationToken)).resolves.toBe(true);
    await expect(pairs.claim('m2', pair.applicationToken)).resolves.toBe(false);
    await expect(loadPortalsFrom(source)(['m2'])).resolves.toEqual([]);
  });

  it('makes one portal of one pair, whoever names how many at once', async () => {
    await pairs.add(pair);
    const members = Array.from({ length: 10 }, (_, number) => `m${number}`);
    const believed = await Promise.all(members.map((member) => pairs.claim(member, pair.applicationToken)));
    expect(believed.filter(Boolean)).toHaveLength(1);
    await expect(loadPortalsFrom(source)(members)).resolves.toHaveLength(1);
  });

  it('makes one portal where two pairs name it at once, and that of the one host', async () => {
    const other = { webhookUrl: 'https://two.bitrix24.com/rest/1/s/', applicationToken: 'other-token' };
    await pairs.add(pair);
    await pairs.add(other);
    const believed = await Promise.all(
      [pair, other].map(({ applicationToken }) => pairs.claim('m1', applicationToken)),
    );
    expect(believed.filter(Boolean)).toHaveLength(1);
    await expect(pairs.waiting()).resolves.toHaveLength(1);
    const [portal] = await loadPortalsFrom(source)(['m1']);
    expect(portal?.tokenHashes).toHaveLength(1);
  });

  it('that is meant for one portal is claimed by no other', async () => {
    await pairs.add({ ...pair, memberId: 'm1' });
    await expect(pairs.claim('m2', pair.applicationToken)).resolves.toBe(false);
    await expect(pairs.waiting()).resolves.toMatchObject([{ host: 'one.bitrix24.com', memberId: 'm1' }]);
    await expect(pairs.claim('m1', pair.applicationToken)).resolves.toBe(true);
    await expect(pairs.waiting()).resolves.toEqual([]);
  });

  it('of another host moves a portal where the operator has named it, and stays elsewhere', async () => {
    const moved = { webhookUrl: 'https://renamed.bitrix24.com/rest/1/s/', applicationToken: 'moved-token' };
    await pairs.add(pair);
    await pairs.add(moved);
    await pairs.claim('m1', pair.applicationToken);
    await expect(pairs.claim('m1', moved.applicationToken)).resolves.toBe(false);
    await expect(pairs.waiting()).resolves.toMatchObject([{ host: 'renamed.bitrix24.com' }]);
    await pairs.add({ ...moved, memberId: 'm1' });
    await expect(pairs.claim('m1', moved.applicationToken)).resolves.toBe(true);
    const [portal] = await loadPortalsFrom(source)(['m1']);
    expect(portal).toMatchObject({ domain: 'renamed.bitrix24.com' });
    expect(portal && hasApplicationToken(portal, pair.applicationToken)).toBe(false);
  });

  it('hears within a second of a pair that was added elsewhere', async () => {
    await expect(pairs.claim('m1', pair.applicationToken)).resolves.toBe(false);
    const elsewhere = new WebhookPairs(
      source,
      database.box,
      new PortalRepository(source, database.box, []),
      [],
    );
    await elsewhere.add(pair);
    await eventually(async () => {
      expect(await pairs.claim('m1', pair.applicationToken)).toBe(true);
    });
  });

  it('keeps neither the address nor the token in clear', async () => {
    await pairs.add(pair);
    await expect(dump(source)).resolves.not.toMatch(/webhook-secret|token-secret/);
  });

  it.each(['http://one.bitrix24.com/rest/1/s/', 'https://127.0.0.1/rest/1/s/', 'x'])(
    'rejects the address %s',
    async (webhookUrl) => {
      await expect(pairs.add({ ...pair, webhookUrl })).rejects.toMatchObject({ code: 'BAD_ADDRESS' });
    },
  );
});
