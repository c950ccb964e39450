import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { z } from 'zod';
import { eventually } from '../support/eventually.js';
import {
  emptyResult,
  type HeardCall,
  type HostileAnswer,
  HostilePortals,
  packedBomb,
} from '../support/hostile-portal.js';
import { startRelay, type Relay } from '../support/relay.js';

const MB = 1_000_000;
const HEAP_MB = 160;
const TYPE = 150;
const polling = { timeoutMs: 60_000, everyMs: 100 };

/** What a portal answers to everything that it is asked, once it is installed. */
const bombs: Record<string, HostileAnswer> = {
  lists: packedBomb(60 * MB),
  maps: packedBomb(60 * MB, '{},'),
  values: packedBomb(15 * MB, '0,'),
  depth: packedBomb(4 * MB, '['),
  bytes: packedBomb(200 * MB, '"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",'),
};
const title = 'x'.repeat(17 * MB);

const commands = z.record(z.string(), z.string());

/** A portal with one smart process of three items, of which the second is larger than any item that is taken. */
function withLargeItem({ method, params }: HeardCall): HostileAnswer | undefined {
  if (method === 'crm.type.list') {
    return { body: { result: { types: [{ entityTypeId: TYPE, title: 'Large', code: 'LARGE' }] } } };
  }
  if (method !== 'batch') return undefined;
  const asked = Object.entries(commands.catch({}).parse(params['cmd']));
  const result = Object.fromEntries(asked.map(([key, query]) => [key, resultOf(query)]));
  return {
    body: { result: { result, result_error: [], result_total: [], result_next: [], result_time: [] } },
  };
}

function resultOf(command: string): unknown {
  const [method = '', query = ''] = command.split('?');
  if (method !== 'crm.item.list') return emptyResult(method);
  const asked = [...new URLSearchParams(query)];
  const valuesOf = (name: string): string[] =>
    asked.filter(([key]) => key.startsWith(name)).map(([, value]) => value);
  const [behind = '0'] = valuesOf('filter[>id]');
  const wanted = valuesOf('filter[@id]');
  const ids = behind.startsWith('$') ? [] : [1, 2, 3].filter((id) => id > Number(behind));
  const shown = wanted.length === 0 ? ids : ids.filter((id) => wanted.includes(String(id)));
  const isShort = valuesOf('select').join() === 'id';
  const items = shown.map((id) => ({ id, ...(!isShort && { title: id === 2 ? title : `item ${id}` }) }));
  return { items: valuesOf('order[id]').includes('DESC') ? items.toReversed() : items };
}

/** Real: gateway and smart-process-sync with the heap that they have in docker-compose.yml. Hostile: the portals. */
describe('answers without bounds', () => {
  let relay: Relay;
  let portals: HostilePortals;
  let database: pg.Client;

  beforeAll(async () => {
    portals = await HostilePortals.start();
    relay = await startRelay('PostgreSQL', []);
    const changes = {
      B24_OAUTH_URL: await portals.url(),
      B24_ALLOW_HOSTS: await portals.host(),
      NODE_OPTIONS: `--max-semi-space-size=4 --max-old-space-size=${HEAP_MB}`,
    };
    await relay.restart(changes);
    await relay.start('smart-process-sync', changes);
    database = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
    await database.connect();
  }, 240_000);
  afterAll(async () => {
    await database?.end();
    await relay?.stop();
    await portals?.stop();
  }, 120_000);

  function heard(memberId: string, method: string): number {
    return portals.calls.filter((call) => call.memberId === memberId && call.method === method).length;
  }

  /** Neither process has ended: each answers for itself, and an install goes all its way. */
  async function expectAllWell(memberId: string): Promise<void> {
    for (const app of ['gateway', 'smart-process-sync']) {
      const live = await fetch(`http://127.0.0.1:${relay.opsPort(app)}/health/live`);
      expect([app, live.status]).toEqual([app, 200]);
    }
    expect(await portals.install(relay.gatewayUrl, memberId)).toBe(200);
    await eventually(() => {
      expect(heard(memberId, 'crm.type.list')).toBeGreaterThan(0);
      expect(heard(memberId, 'batch') + heard(memberId, 'event.bind')).toBeGreaterThan(0);
    }, polling);
  }

  it('to the OAuth exchange and to the first question are no install, and end nothing', async () => {
    portals.oauthAnswer = (memberId) => (memberId === 'grant' ? bombs['lists'] : undefined);
    portals.answer = ({ memberId }) => (memberId === 'question' ? bombs['lists'] : undefined);
    expect(await portals.install(relay.gatewayUrl, 'grant')).toBe(503);
    expect(await portals.install(relay.gatewayUrl, 'question')).toBeGreaterThanOrEqual(200);
    expect(heard('question', 'user.admin')).toBeGreaterThan(0);
    await expectAllWell('well-after-install');
  }, 120_000);

  it.each(Object.keys(bombs))(
    'of many %s, packed small, end neither the gateway nor the mirror',
    async (kind) => {
      const [atAll, atTypes, atItems] = [kind, `${kind}-types`, `${kind}-items`];
      portals.answer = (call) => {
        const { memberId, method, params } = call;
        const isBomb =
          (memberId === atAll && method !== 'user.admin') ||
          (memberId === atTypes && method === 'crm.type.list') ||
          (memberId === atItems && method === 'batch' && JSON.stringify(params).includes('crm.item'));
        if (isBomb) return bombs[kind];
        return memberId === atItems ? withLargeItem(call) : undefined;
      };
      for (const memberId of [atAll, atTypes, atItems]) {
        expect(await portals.install(relay.gatewayUrl, memberId)).toBe(200);
      }
      await eventually(() => {
        expect(heard(atAll, 'event.get')).toBeGreaterThan(0);
        expect(heard(atTypes, 'crm.type.list')).toBeGreaterThan(0);
        expect(heard(atItems, 'batch')).toBeGreaterThan(0);
      }, polling);
      await expectAllWell(`well-after-${kind}`);
    },
    120_000,
  );

  it('of many bad entries, each within all bounds, end neither the gateway nor the mirror', async () => {
    portals.answer = (call) => {
      const { memberId, method, params } = call;
      if (memberId === 'bad-handlers' && method === 'event.get') return packedBomb(0.4 * MB, '0,');
      if (memberId !== 'bad-items') return undefined;
      const [key] = Object.entries(commands.catch({}).parse(params['cmd']))
        .filter(([, query]) => query.startsWith('crm.item.list'))
        .map(([name]) => name);
      if (key === undefined) return withLargeItem(call);
      const items = Array.from({ length: 2_000_000 }, () => 0);
      return { body: { result: { result: { [key]: { items } } } } };
    };
    for (const memberId of ['bad-handlers', 'bad-items']) {
      expect(await portals.install(relay.gatewayUrl, memberId)).toBe(200);
    }
    await eventually(() => {
      expect(heard('bad-handlers', 'event.get')).toBeGreaterThan(0);
      expect(heard('bad-items', 'batch')).toBeGreaterThan(0);
    }, polling);
    await expectAllWell('well-after-bad-entries');
  }, 120_000);

  it('leave out the one item that is too large, and count it', async () => {
    portals.answer = (call) => (call.memberId === 'large' ? withLargeItem(call) : undefined);
    expect(await portals.install(relay.gatewayUrl, 'large')).toBe(200);
    await eventually(async () => {
      const { rows } = await database.query<{ id: number }>(
        `SELECT item_id::int AS id FROM mirror.items WHERE member_id = 'large' ORDER BY 1`,
      );
      expect(rows).toEqual([{ id: 1 }, { id: 3 }]);
      expect(await relay.metric('smart-process-sync', 'relay_sync_unreadable_total')).toBe(1);
    }, polling);
    await expectAllWell('well-after-large');
  }, 120_000);
});
