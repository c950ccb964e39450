import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Bitrix24Error } from '@relay/bitrix24';
import { databaseOptions, loadMigrations, silentLog } from '@relay/platform';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { Notifier, type NotifierOptions } from './notifier.js';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const KEY = Buffer.alloc(32, 7);
const MINUTE = 60_000;
type State = 'installed' | 'unreachable' | 'suspended' | 'needs-reauth';

const message = z.object({
  type: z.string(),
  data: z.object({
    status: z.string(),
    total: z.number(),
    alerts: z.array(z.object({ subject: z.string(), count: z.number() })),
  }),
});

const signed = z
  .object({
    'webhook-id': z.string(),
    'webhook-timestamp': z.coerce.number(),
    'webhook-signature': z.string(),
  })
  .transform((headers) => ({
    id: headers['webhook-id'],
    timestamp: headers['webhook-timestamp'],
    signature: headers['webhook-signature'],
  }));

/** Real: PostgreSQL, a receiver on loopback. The clock is the spec's; portals and consumers say what the test wants. */
describe('notifications', () => {
  let database: TestDatabase;
  let source: DataSource;
  let nowMs: number;
  let states: Record<string, State>;
  let dead: number;
  let isPaused: boolean;
  let isBusAway: boolean;
  let received: { headers: IncomingHttpHeaders; body: string }[];
  let answer: (response: ServerResponse) => void;
  let url: string;
  let told: [memberId: string, method: string, parameters: object | undefined][];
  let portalError: Bitrix24Error | undefined;
  const receiver = createServer((request, response) => {
    void text(request).then((body) => {
      received.push({ headers: request.headers, body });
      return answer(response);
    });
  });

  beforeAll(async () => {
    database = await freshDatabase(await loadMigrations());
    source = await new DataSource(databaseOptions(database.url, 'spec')).initialize();
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${z.object({ port: z.number() }).parse(receiver.address()).port}/hook/s3cret-path`;
  });
  beforeEach(async () => {
    await source.query('TRUNCATE platform.alerts, platform.notifications');
    [nowMs, states, dead, isPaused, isBusAway, portalError] = [Date.now(), {}, 0, false, false, undefined];
    [received, told] = [[], []];
    answer = (response) => response.end();
  });
  afterAll(async () => {
    await source.destroy();
    await database.drop();
    receiver.closeAllConnections();
    receiver.close();
  });

  /** Each is a process of the control plane. */
  function notifier(changes: Partial<NotifierOptions['environment']> = {}): Notifier {
    const environment = {
      NOTIFY_URL: url,
      NOTIFY_SECRET: KEY,
      NOTIFY_ALLOW_HOSTS: ['127.0.0.1'],
      NOTIFY_PORTALS: false,
      ...changes,
    };
    return new Notifier({
      environment,
      dataSource: source,
      lease: { isLeader: () => true },
      portals: {
        all: async () =>
          Object.entries(states).map(([memberId, state]) => ({
            memberId,
            domain: `${memberId}.example`,
            state,
            kind: 'oauth',
            suspendedReason: null,
            suspendedUntil: null,
            language: null,
            settings: {},
            installedAt: new Date(0),
          })),
      },
      consumers: {
        statuses: async () => {
          if (isBusAway) throw new Error('the bus is away');
          return [{ consumer: 'name-formatter', dead, processes: [{ isPaused }] }];
        },
      },
      clients: {
        for: (memberId: string) => ({
          call: async (method: string, parameters?: object) => {
            if (portalError && method === 'im.notify') throw portalError;
            told.push([memberId, method, parameters]);
            return { result: { ID: '7' }, total: undefined, next: undefined, time: undefined };
          },
        }),
      },
      log: silentLog,
      now: () => nowMs,
    });
  }

  async function round(one = notifier()): Promise<void> {
    await one.check();
    await one.deliver();
  }

  /** What has come since the last check. */
  function news(): string[] {
    return received.splice(0).map(({ headers, body }) => {
      const { id, timestamp, signature } = signed.parse(headers);
      expect(new Webhook(SECRET).sign(id, new Date(timestamp * 1_000), body)).toBe(signature);
      const { type, data } = message.parse(JSON.parse(body));
      return `${type} ${data.status} ${data.alerts.map(({ subject, count }) => `${subject}:${count}`).join(' ')} of ${data.total}`;
    });
  }

  async function queued(): Promise<number> {
    const [row] = await source.query<{ count: number }[]>('SELECT count(*)::int FROM platform.notifications');
    return row?.count ?? 0;
  }

  it('are signed, and told once and once more when it is over, whichever process checks', async () => {
    states = { m1: 'unreachable', m2: 'needs-reauth', m3: 'installed' };
    await round();
    expect(news().toSorted()).toEqual([
      'portal.needs-reauth open m2:1 of 1',
      'portal.unreachable open m1:1 of 1',
    ]);
    await Promise.all([round(), round(), round()]);
    nowMs += 2 * 24 * 60 * MINUTE;
    await round();
    expect(news()).toEqual([]);
    states = { m1: 'installed', m2: 'needs-reauth' };
    await Promise.all([notifier().check(), notifier().check(), notifier().check()]);
    await round();
    expect(news()).toEqual(['portal.unreachable resolved m1:1 of 1']);
    expect(await queued()).toBe(0);
  });

  it('are one message for many portals, which is bounded', async () => {
    states = Object.fromEntries(Array.from({ length: 5_000 }, (_, at) => [`m${at}`, 'unreachable']));
    await round();
    const [only = '', ...more] = news();
    expect(more).toEqual([]);
    expect(only).toMatch(/ of 5000$/);
    expect(only.split(' ')).toHaveLength(54);
  });

  it('are none of what passes by itself', async () => {
    states = { m1: 'suspended' };
    isPaused = true;
    await round();
    nowMs += 30_000;
    [states, isPaused] = [{ m1: 'installed' }, false];
    await round();
    expect(news()).toEqual([]);
    [states, isPaused] = [{ m1: 'suspended' }, true];
    await round();
    nowMs += MINUTE;
    await round();
    expect(news()).toEqual(['consumer.paused open name-formatter:1 of 1']);
    nowMs += 9 * MINUTE;
    await round();
    expect(news()).toEqual(['portal.suspended open m1:1 of 1']);
  });

  it('tell of further dead letters once an hour, and nothing while the bus is away', async () => {
    dead = 2;
    await round();
    dead = 5;
    await round();
    expect(news()).toEqual(['consumer.dead-letters open name-formatter:2 of 1']);
    nowMs += 61 * MINUTE;
    await round();
    expect(news()).toEqual(['consumer.dead-letters open name-formatter:5 of 1']);
    isBusAway = true;
    await round();
    expect(news()).toEqual([]);
    [isBusAway, dead] = [false, 0];
    await round();
    expect(news()).toEqual(['consumer.dead-letters resolved name-formatter:5 of 1']);
  });

  it.each([
    ['an error', (response: ServerResponse) => response.writeHead(500).end()],
    ['a redirect', (response: ServerResponse) => response.writeHead(302, { location: '/elsewhere' }).end()],
    ['half of an answer', (response: ServerResponse) => response.writeHead(503).destroy()],
  ])('wait for a receiver that answers with %s, with the same id', async (_what, respond) => {
    answer = respond;
    states = { m1: 'unreachable' };
    await round();
    await round();
    expect(received).toHaveLength(1);
    answer = (response) => response.end('x'.repeat(200_000));
    nowMs += 3 * MINUTE;
    await round(notifier());
    expect(received).toHaveLength(2);
    expect(received[1]?.headers['webhook-id']).toBe(received[0]?.headers['webhook-id']);
    expect(news()).toHaveLength(2);
    expect(await queued()).toBe(0);
  });

  it('do not go to private addresses that are not allowed, and end after a day', async () => {
    states = { m1: 'unreachable' };
    const forbidden = notifier({ NOTIFY_ALLOW_HOSTS: [] });
    await round(forbidden);
    expect([received.length, await queued()]).toEqual([0, 1]);
    nowMs += 25 * 60 * MINUTE;
    await round(forbidden);
    expect([received.length, await queued()]).toEqual([0, 0]);
  });

  it('are said inside the unreachable portal alone, to the user of its token pair', async () => {
    const inside = notifier({ NOTIFY_URL: undefined, NOTIFY_PORTALS: true });
    states = { m1: 'unreachable', m2: 'needs-reauth' };
    await round(inside);
    states = { m1: 'installed', m2: 'installed' };
    await round(inside);
    const said = { USER_ID: 7, TYPE: 'SYSTEM', TAG: expect.any(String) };
    expect(told.filter(([, method]) => method === 'im.notify')).toEqual([
      ['m1', 'im.notify', { ...said, MESSAGE: expect.stringMatching(/do not reach/) }],
      ['m1', 'im.notify', { ...said, MESSAGE: expect.stringMatching(/reach .* again/) }],
    ]);
    portalError = new Bitrix24Error('INSUFFICIENT_SCOPE', { memberId: 'm1', recovery: 'never' });
    states = { m1: 'unreachable' };
    await round(inside);
    expect([received.length, await queued()]).toEqual([0, 0]);
  });

  it('reach the webhook at once, however many portals are to be told', async () => {
    const both = notifier({ NOTIFY_PORTALS: true });
    states = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`m${at}`, 'unreachable']));
    await round(both);
    expect(news()).toHaveLength(1);
    dead = 1;
    nowMs += MINUTE;
    await round(both);
    expect(news()).toEqual(['consumer.dead-letters open name-formatter:1 of 1']);
  });

  it('never end inside a portal with what was so before', async () => {
    const inside = notifier({ NOTIFY_URL: undefined, NOTIFY_PORTALS: true });
    states = { m1: 'unreachable', m2: 'unreachable' };
    portalError = new Bitrix24Error('TIMEOUT', { memberId: 'm1', recovery: 'retry' });
    await round(inside);
    states = { m1: 'installed', m2: 'unreachable' };
    portalError = undefined;
    await round(inside);
    nowMs += 5 * MINUTE;
    await round(inside);
    const texts = told.flatMap(([memberId, method, parameters]) =>
      method === 'im.notify' ? [[memberId, z.object({ MESSAGE: z.string() }).parse(parameters).MESSAGE]] : [],
    );
    expect(texts).toEqual([
      ['m1', expect.stringMatching(/again/)],
      ['m2', expect.stringMatching(/do not reach/)],
    ]);
  });
});
