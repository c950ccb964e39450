import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { z } from 'zod';
import { AdminClient } from '../client/admin-client.js';
import { runSync, syncStatus } from './sync.js';

const token = 'a token of sixteen characters';
const requestedAt = '2026-11-25T12:00:00.000Z';

/** One job as the control plane reports it. */
function task(change: object): object {
  return {
    id: 'mine',
    consumer: 'smart-process-sync',
    memberId: 'm1',
    kind: 'backfill',
    state: 'running',
    error: null,
    attempts: 0,
    isInteractive: true,
    lostLeases: 0,
    requestedAt,
    startedAt: requestedAt,
    endedAt: null,
    progress: {},
    ...change,
  };
}

function portal(memberId: string, domain: string): object {
  return {
    memberId,
    domain,
    state: 'installed',
    kind: 'oauth',
    suspendedReason: null,
    suspendedUntil: null,
    language: null,
    settings: {},
    installedAt: requestedAt,
    bindings: null,
  };
}

const types = [
  { entityTypeId: 147, title: 'Deliveries', items: 12_000, isDone: true },
  { entityTypeId: 148, title: 'Visits', items: 345, isDone: false },
];
const done = task({
  state: 'done',
  endedAt: '2026-11-25T12:00:42.000Z',
  progress: { items: 12_345, itemsPerSecond: 290, part: 1, types },
});

/** The admin API of a control plane: it answers each request for jobs with the next of `polls`, and repeats the last one. */
describe('relay sync', () => {
  let controlPlane: Server;
  let api: AdminClient;
  let polls: object[][];
  let asked: string[];
  let screen: string;

  beforeEach(async () => {
    [polls, asked, screen] = [[], [], ''];
    jest.spyOn(Date, 'now').mockReturnValue(Date.parse('2026-11-25T13:00:00Z'));
    controlPlane = createServer((request, response) => {
      const { method = '', url = '', headers } = request;
      asked.push(`${method} ${url}`);
      const answer = headers.authorization === `Bearer ${token}` ? answerTo(method, url) : undefined;
      response.writeHead(answer ? 200 : 401, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer ?? { error: 'OPS_TOKEN is wrong or missing' }));
    });
    controlPlane.listen(0, '127.0.0.1');
    await once(controlPlane, 'listening');
    api = AdminClient.fromEnvironment(true, { OPS_PORT: portOf(controlPlane), OPS_TOKEN: token });
    jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
      screen += String(text);
      return true;
    });
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    controlPlane.closeAllConnections();
    controlPlane.close();
    await once(controlPlane, 'close');
  });

  function answerTo(method: string, url: string): object {
    if (url === '/ops/api/portals') {
      return {
        portals: [
          portal('m1', 'acme.bitrix24.com'),
          portal('m2', 'globex.bitrix24.com'),
          portal('m3', 'globex.bitrix24.eu'),
        ],
        webhookPairs: [],
        pendingInstalls: { total: 0, portals: [] },
      };
    }
    if (method === 'POST') return { task: task({ state: 'waiting', startedAt: null }) };
    return { tasks: (polls.length > 1 ? polls.shift() : polls[0]) ?? [] };
  }

  it.each(['m1', 'acme.bitrix24.com', 'acme'])('finds the portal by %s, and asks there', async (name) => {
    polls = [[done]];
    await runSync(api, 'reconcile', name);
    expect(asked).toEqual([
      'GET /ops/api/portals',
      'POST /ops/api/sync/m1/reconcile',
      'GET /ops/api/sync/m1',
    ]);
  });

  it.each([
    ['initech', 'There is no portal initech'],
    ['globex', 'globex matches several portals: give the member_id'],
  ])('asks for nothing at %s', async (name, why) => {
    await expect(runSync(api, 'backfill', name)).rejects.toThrow(why);
    expect(asked).toEqual(['GET /ops/api/portals']);
  });

  it('shows how far it is until it ends, and then what came of it', async () => {
    const progress = { items: 6_000, itemsPerSecond: 1_500, part: 0.487, secondsLeft: 150 };
    polls = [[task({ progress })], [done]];
    const { text, value } = await runSync(api, 'backfill', 'acme');
    expect(screen).toBe('48 % backfill: 6,000 items · 1,500 a second · 3 min left\n');
    expect(text).toBe(
      'backfill: done · 12,345 items · in 42 s · 59 min ago\n  147  Deliveries  12,000\n  148  Visits  345, incomplete',
    );
    expect(value).toMatchObject({ id: 'mine', state: 'done' });
  });

  it('says why it is tried again', async () => {
    polls = [[task({ state: 'waiting', error: 'QUERY_LIMIT_EXCEEDED' })], [done]];
    await runSync(api, 'backfill', 'acme');
    expect(screen).toBe('0 % backfill: QUERY_LIMIT_EXCEEDED, retrying\n');
  });

  it.each([
    ['ACCESS_DENIED from crm.type.list', 'The backfill failed: ACCESS_DENIED from crm.type.list'],
    [null, 'The backfill failed: the log of smart-process-sync says why'],
  ])('fails with the task, by %j', async (error, message) => {
    polls = [[task({ state: 'failed', error })]];
    await expect(runSync(api, 'backfill', 'acme')).rejects.toThrow(message);
  });

  it('does not take the task of somebody else for its own', async () => {
    polls = [[task({ id: 'another' })]];
    await expect(runSync(api, 'backfill', 'acme')).rejects.toThrow('Somebody else requested this job again');
  });

  describe('of a task that does not begin', () => {
    const waiting = task({ state: 'waiting', startedAt: null });

    beforeEach(() => {
      // The clock advances a quarter of a minute between two reads, so that the test does not wait.
      let now = 0;
      jest.spyOn(performance, 'now').mockImplementation(() => (now += 15_001));
    });

    it('asks whether anybody is there to do it', async () => {
      polls = [[waiting], [done]];
      await runSync(api, 'backfill', 'acme');
      expect(screen).toBe('0 % backfill: is smart-process-sync running?\n');
    });

    it('says what it waits for', async () => {
      const other = task({ id: 'another', kind: 'reconcile', progress: { items: 7 } });
      polls = [[other, waiting], [done]];
      await runSync(api, 'backfill', 'acme');
      expect(screen).toBe(
        '0 % backfill: waits for the end of the reconciliation of this portal: 7 items · 0 a second\n',
      );
    });
  });

  it('shows what the last of each kind came to', async () => {
    const found = { missing: 2, stale: 1_000 };
    const reconciled = task({
      kind: 'reconcile',
      state: 'failed',
      endedAt: '2026-11-25T12:30:00.000Z',
      error: 'NOT_INSTALLED',
      progress: { items: 9, found, leftOut: { types: 0, fields: 2, options: 1 } },
    });
    polls = [[reconciled, done]];
    expect((await syncStatus(api, 'm1')).text).toBe(
      [
        'reconcile: failed · 9 items · in 30 min · 30 min ago · 2 missing, 1,000 stale · left out: 2 fields, 1 options · NOT_INSTALLED',
        '',
        'backfill: done · 12,345 items · in 42 s · 59 min ago',
        '  147  Deliveries  12,000',
        '  148  Visits  345, incomplete',
      ].join('\n'),
    );
    polls = [[]];
    expect((await syncStatus(api, 'm1')).text).toContain('No job was requested yet');
  });

  it('ends with what the control plane says', async () => {
    const wrong = AdminClient.fromEnvironment(true, {
      OPS_PORT: portOf(controlPlane),
      OPS_TOKEN: 'another token altogether',
    });
    await expect(syncStatus(wrong, 'm1')).rejects.toThrow('OPS_TOKEN is wrong or missing');
  });
});

function portOf(server: Server): string {
  return String(z.object({ port: z.number() }).parse(server.address()).port);
}
