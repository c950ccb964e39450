import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Module } from '@nestjs/common';
import { type PortalAccess, PortalClient, readItems, writeAll } from '@relay/bitrix24';
import { type ConsumerOptions, type FailedEntry, OnPortalEvents, type PortalBatch } from '@relay/consumer';
import { PortalClients, PortalSettings } from '@relay/portals';
import { z } from 'zod';
import { testConsumer, type TestPortal } from './index.js';

const settings = z.strictObject({ suffix: z.string().default('!') });

/** Ends the titles of deals with an exclamation mark. */
@Controller()
class ShoutingController {
  constructor(
    private readonly portals: PortalClients,
    private readonly portalSettings: PortalSettings,
  ) {}

  @OnPortalEvents(['ONCRMDEALADD', 'ONCRMDEALUPDATE'])
  async shout({ memberId, entries }: PortalBatch): Promise<FailedEntry[]> {
    const client = this.portals.for(memberId);
    const { suffix } = (await this.portalSettings.of(memberId, 'shouting', settings)).own;
    const ids = entries.flatMap(({ entityId }) => entityId ?? []);
    const query = { entityTypeId: 2, ids, select: ['id', 'title'] };
    const deals = (await readItems(client, [query])).flatMap(([, read]) => [...read]);
    const writes = deals.flatMap(([id, deal]) => {
      const title = deal.state === 'found' ? String(deal.item['title']) : suffix;
      if (title.endsWith(suffix)) return [];
      const params = { entityTypeId: 2, id, fields: { title: title + suffix } };
      return [{ entity: `CRMDEAL:${id}`, command: { method: 'crm.item.update', params } }];
    });
    return (await writeAll(client, writes)).flatMap(([{ entity }, outcome]) =>
      outcome.ok ? [] : [{ entity, error: outcome.error }],
    );
  }
}

@Module({ controllers: [ShoutingController] })
class ShoutingModule {}

const consumer: ConsumerOptions = { name: 'shouting', module: ShoutingModule, settings };

describe.each(['memory', 'postgresql', 'rabbitmq'] as const)('the kit with the bus %s', (bus) => {
  const kit = testConsumer(consumer, { bus, retryDelaysMs: [50] });
  const { testPortal, deliver, settled } = kit;
  beforeAll(kit.start);
  afterAll(kit.stop);

  it('delivers an event to the handler, whose write is in the portal', async () => {
    const portal = await testPortal({ deals: [{ title: 'Lamps' }, { id: 82, title: 'Desks!' }] });
    expect(await deliver(portal, 'ONCRMDEALADD', { id: 1 })).toEqual({ outcome: 'done' });
    expect(await portal.item('deal', 1)).toMatchObject({ id: 1, title: 'Lamps!' });
    expect(await deliver(portal, 'ONCRMDEALUPDATE', { id: 82 })).toEqual({ outcome: 'done' });
    expect(await portal.updates('deal')).toEqual([1]);
    expect(await portal.item('deal', 7)).toBeUndefined();
  });

  it('sends the events of what a user does, and of what the consumer itself writes', async () => {
    const portal = await testPortal();
    const { id } = await portal.add('deal', { title: 'Chairs' });
    await settled();
    expect(await portal.item('deal', id)).toMatchObject({ title: 'Chairs!' });
    expect(await portal.updates('deal')).toEqual([id]);
    const { calls } = await portal.calls();
    // Its own write came back as an event, and was read once more.
    expect(calls['crm.item.list']).toBeGreaterThan(1);
    await portal.change('deal', id, { title: 'Stools' });
    await settled();
    expect(await portal.item('deal', id)).toMatchObject({ title: 'Stools!' });
  });

  it('keeps portals apart, and the settings of each', async () => {
    const [one, other] = [await testPortal(), await testPortal()];
    await kit.set(other, { suffix: '?' });
    for (const portal of [one, other]) await portal.add('deal', { title: 'Lamp' });
    await settled();
    expect(await one.item('deal', 1)).toMatchObject({ title: 'Lamp!' });
    expect(await other.item('deal', 1)).toMatchObject({ title: 'Lamp?' });
  });

  it('has calls fail as Bitrix24 lets them fail, and tells what became of the event', async () => {
    const portal = await testPortal({ deals: [{ title: 'Lamps' }, { title: 'Desks' }] });
    await portal.failNext('crm.item.update', 'ACCESS_DENIED', { id: 1 });
    expect(await deliver(portal, 'ONCRMDEALADD', { id: 1 })).toEqual({
      outcome: 'dead',
      code: 'ACCESS_DENIED',
    });
    expect(await deliver(portal, 'ONCRMDEALADD', { id: 2 })).toEqual({ outcome: 'done' });
    expect(kit.deadLetters(portal)).toEqual(['ACCESS_DENIED']);
    expect(kit.deadLetters(await testPortal())).toEqual([]);
  });

  it('delivers once more what failed for the moment', async () => {
    const portal = await testPortal({ deals: [{ title: 'Lamps' }] });
    const code = 'INTERNAL_SERVER_ERROR';
    await portal.failNext('crm.item.update', code, { times: 100 });
    expect(await deliver(portal, 'ONCRMDEALADD', { id: 1 })).toEqual({ outcome: 'retry', code });
    await portal.recover();
    await portal.until('deal', 1, ({ title }) => title === 'Lamps!');
    expect(kit.deadLetters(portal)).toEqual([]);
  });

  it('has settled when what failed is done', async () => {
    const portal = await testPortal();
    const code = 'INTERNAL_SERVER_ERROR';
    await portal.failNext('crm.item.update', code);
    await portal.add('deal', { title: 'Lamps' });
    await settled();
    expect(await portal.item('deal', 1)).toMatchObject({ title: 'Lamps!' });
  });

  it('rejects an event that the consumer does not handle', async () => {
    const portal = await testPortal();
    await expect(deliver(portal, 'ONCRMLEADADD', { id: 1 })).rejects.toThrow('does not handle ONCRMLEADADD');
  });

  it('keeps what the consumer logs', () => {
    expect(kit.log).toContainEqual(expect.objectContaining({ msg: 'shouting takes events' }));
  });
});

describe('the kit with short retry delays', () => {
  const { start, stop, testPortal, settled, deadLetters, query } = testConsumer(consumer, {
    bus: 'memory',
    retryDelaysMs: [1, 50],
  });
  beforeAll(start);
  afterAll(stop);

  it('changes the tables of the consumer, too', async () => {
    await query('CREATE TABLE lamps (id int, lit boolean)');
    expect(await query('INSERT INTO lamps VALUES ($1, false) RETURNING id', [7])).toEqual([{ id: 7 }]);
    expect(await query('UPDATE lamps SET lit = true')).toEqual([]);
    expect(await query('SELECT * FROM lamps')).toEqual([{ id: 7, lit: true }]);
    expect(await query('DELETE FROM lamps RETURNING id')).toEqual([{ id: 7 }]);
  });

  it('has settled when what always fails is dead', async () => {
    const portal = await testPortal();
    await portal.failNext('crm.item.update', 'INTERNAL_SERVER_ERROR', { times: 100 });
    await portal.add('deal', { title: 'Lamps' });
    await settled();
    expect(deadLetters(portal)).toEqual(['INTERNAL_SERVER_ERROR']);
  });

  const fields = { TITLE: 'Call', RESPONSIBLE_ID: 1, ACCOMPLICES: [1, 2], DEADLINE: null };

  it('shows tasks as text and lists, whether a call or a batch has added them', async () => {
    const portal = await testPortal();
    const client = clientOf(portal);
    await client.call('tasks.task.add', { fields });
    await client.batch({ task: { method: 'tasks.task.add', params: { fields } } });
    const shown = { TITLE: 'Call', RESPONSIBLE_ID: '1', ACCOMPLICES: ['1', '2'], DEADLINE: '' };
    expect(await portal.tasks()).toEqual([
      expect.objectContaining({ id: '1', ...shown }),
      expect.objectContaining({ id: '2', ...shown }),
    ]);
  });

  it.each([
    ...['lost', 'slow'].map((kind) => ({ kind, count: 1 })),
    ...['html', 'empty', 'cut', 'garbled', 'odd', 'drop', 'redirect'].map((kind) => ({ kind, count: 0 })),
  ])('has run the method $count times after breakNext of $kind', async ({ kind, count }) => {
    const portal = await testPortal();
    await portal.breakNext('tasks.task.add', kind);
    await clientOf(portal)
      .call('tasks.task.add', { fields })
      .catch(() => undefined);
    expect(await portal.tasks()).toHaveLength(count);
  });
});

describe('the kit with the retry delays of a bus', () => {
  const { start, stop, testPortal, settled, deadLetters } = testConsumer(consumer, { bus: 'memory' });
  beforeAll(start);
  afterAll(stop);

  it('has settled while what failed waits for its retry', async () => {
    const portal = await testPortal();
    await portal.failNext('crm.item.update', 'INTERNAL_SERVER_ERROR', { times: 100 });
    await portal.add('deal', { title: 'Lamps' });
    await settled();
    expect(await portal.item('deal', 1)).toMatchObject({ title: 'Lamps' });
    expect(deadLetters(portal)).toEqual([]);
  });
});

it('closes everything, whatever fails, and is started once at a time', async () => {
  const kit = testConsumer(consumer, { bus: 'memory' });
  await kit.start();
  await expect(kit.start()).rejects.toThrow('is started already');
  const { installation } = await kit.testPortal();
  const [row] = await kit.query('SELECT current_database() AS name');
  const name = `"${String(row?.['name'])}"`;
  await kit.query(`ALTER DATABASE ${name} IS_TEMPLATE true`);
  await expect(kit.stop()).rejects.toThrow('cannot drop a template database');
  await expect(fetch(installation.client_endpoint)).rejects.toThrow('fetch failed');

  await kit.start();
  await kit.query(`ALTER DATABASE ${name} IS_TEMPLATE false`);
  await kit.query(`DROP DATABASE ${name}`);
  await kit.stop();
});

it('of a consumer that is not started says so', async () => {
  const { testPortal } = testConsumer(consumer);
  expect(() => testPortal()).toThrow('beforeAll(start)');
});

function clientOf({ installation }: TestPortal): PortalClient {
  const { client_endpoint: endpoint, access_token: accessToken } = installation;
  const access: PortalAccess = { kind: 'oauth', endpoint, accessToken };
  const tokens = { access: () => Promise.resolve(access), refresh: () => Promise.resolve(access) };
  return new PortalClient({ memberId: 'kit', tokens, allowHosts: [new URL(endpoint).host] });
}
