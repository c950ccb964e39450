import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { BIND_JOB, CONTROL_PLANE } from '@relay/installs';
import { JobsModule, type PortalJob, PortalJobs } from '@relay/jobs';
import { databaseOptions, LeaderLease, loadMigrations, silentLog } from '@relay/platform';
import {
  EventBindingAttempts,
  DriftChecks,
  EventBindings,
  OfflineBindings,
  PortalCache,
  PortalClients,
  PORTAL_ENTITIES,
  PortalRepository,
  PortalsModule,
  Subscriptions,
} from '@relay/portals';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import { z } from 'zod';
import { freshDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { eventually } from '../../../../test/support/eventually.js';
import {
  COMPARE_JOB,
  COMPARISONS,
  EventBindingReconciler,
  PortalLanguages,
} from './event-binding-reconciler.js';
import { HandlerComparison } from './handler-comparison.js';

@Module({})
class Root {}

const handlerUrl = 'https://relay.example.com/b24/events';

const withToken = z.object({ auth: z.string(), cmd: z.record(z.string(), z.string()).optional() });

describe('binding handlers at many portals', () => {
  /** The tokens of the called portals. */
  const asked = new Set<string>();
  let whenAsked: () => void;
  let isSilent = false;
  /** What the portal says to `event.get`. */
  let handlers: unknown[] = [];
  /** The commands of all batches, with the token of their portal. */
  const commands: { auth: string; command: string }[] = [];
  let portal: Server;
  let endpoint: string;
  let database: TestDatabase;
  let context: INestApplicationContext;

  beforeAll(async () => {
    portal = createServer((request, response) => void answer(request, response));
    await new Promise<void>((resolve) => portal.listen(0, '127.0.0.1', resolve));
    const address = portal.address();
    endpoint = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/rest/`;
    database = await freshDatabase(await loadMigrations());
    const portals = PortalsModule.forRoot({
      tokenKeys: [{ id: 'k1', key: randomBytes(32) }],
      allowHosts: ['127.0.0.1'],
      log: silentLog,
      databaseUrl: database.url,
    });
    const orm = TypeOrmModule.forRoot(databaseOptions(database.url, 'spec', PORTAL_ENTITIES));
    const imports = [orm, portals, JobsModule];
    context = await NestFactory.createApplicationContext({ module: Root, imports }, { logger: false });
  });
  afterAll(async () => {
    await context.close();
    await database.drop();
    portal.closeAllConnections();
    await new Promise((resolve) => portal.close(resolve));
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { auth, cmd } = withToken.parse(await json(request));
    asked.add(auth);
    whenAsked();
    if (isSilent) return;
    commands.push(...Object.values(cmd ?? {}).map((command) => ({ auth, command })));
    const outcomes = Object.fromEntries(Object.keys(cmd ?? {}).map((key) => [key, { count: 1 }]));
    const result = cmd ? { result: outcomes, result_error: [] } : handlers;
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ result }));
  }

  async function install(memberId: string): Promise<void> {
    const grant = {
      memberId,
      clientEndpoint: endpoint,
      accessToken: `access-${memberId}`,
      refreshToken: `refresh-${memberId}`,
      expiresAt: 0,
      scope: [],
      status: 'L',
      oauthHost: 'oauth.bitrix.info',
    };
    await context.get(PortalRepository).install(grant, {});
  }

  function reconcilerUnder(lease: LeaderLease): EventBindingReconciler {
    return new EventBindingReconciler(
      context.get(Subscriptions),
      context.get(EventBindings),
      context.get(OfflineBindings),
      context.get(EventBindingAttempts),
      context.get(DriftChecks),
      new HandlerComparison(
        context.get(Subscriptions),
        context.get(EventBindings),
        context.get(OfflineBindings),
        context.get(DriftChecks),
        context.get(PortalClients),
        handlerUrl,
      ),
      context.get(PortalClients),
      context.get(PortalCache),
      new PortalLanguages(context.get(PortalClients), context.get(PortalRepository), silentLog),
      context.get(PortalJobs),
      context.get(DataSource),
      lease,
      handlerUrl,
      silentLog,
    );
  }

  /** Jobs of other tests may go on meanwhile. */
  function commandsOf(memberId: string): string[] {
    return commands.filter(({ auth }) => auth === `access-${memberId}`).map(({ command }) => command);
  }

  /** Runs one comparison to its end. */
  async function compare(memberId: string): Promise<PortalJob | undefined> {
    await install(memberId);
    whenAsked = () => undefined;
    const lease = new LeaderLease({ databaseUrl: database.url, name: 'another', log: silentLog });
    const reconciler = reconcilerUnder(lease);
    const { id } = await context.get(PortalJobs).request(COMPARISONS, memberId, COMPARE_JOB);
    reconciler.onApplicationBootstrap();
    try {
      return await eventually(async () => {
        const job = await context.get(PortalJobs).find(id);
        expect(job?.endedAt).not.toBeNull();
        return job;
      });
    } finally {
      reconciler.onModuleDestroy();
      await reconciler.onApplicationShutdown();
    }
  }

  it('ends behind those in hand when the process is to end, and leaves them to the next process, due at once', async () => {
    for (let number = 0; number < 30; number += 1) await install(`m${number}`);
    const lease = new LeaderLease({ databaseUrl: database.url, name: 'spec', log: silentLog });
    const reconciler = reconcilerUnder(lease);
    const begun = new Promise<void>((resolve) => {
      whenAsked = () => {
        reconciler.onModuleDestroy();
        resolve();
      };
    });

    reconciler.onApplicationBootstrap();
    lease.start();
    await begun;
    await reconciler.onApplicationShutdown();
    await lease.stop();
    expect(asked.size).toBeLessThanOrEqual(4);

    const dataSource = context.get(DataSource);
    const ended = await dataSource.query(`SELECT DISTINCT state FROM portals.tasks`);
    expect(ended).toEqual([{ state: 'waiting' }]);
    expect(await dataSource.query('SELECT FROM portals.binding_attempts')).toEqual([]);
  });

  it('goes on when the claim of a process that died expires, without a sweep', async () => {
    await install('orphan');
    const dataSource = context.get(DataSource);
    await dataSource.query(
      `INSERT INTO portals.binding_attempts (member_id, work, handler, scope, attempts, next_attempt_at, claim)
       VALUES ('orphan', 'bind', $1, '{}', 1, now() + interval '1 s', gen_random_uuid())`,
      [handlerUrl],
    );
    asked.clear();
    const isAsked = new Promise<void>((resolve) => {
      whenAsked = () => asked.has('access-orphan') && resolve();
    });
    // Its lease is not started: it leads nothing, and so sweeps nothing.
    const lease = new LeaderLease({ databaseUrl: database.url, name: 'another', log: silentLog });
    const reconciler = reconcilerUnder(lease);
    await context.get(PortalJobs).request(CONTROL_PLANE, 'orphan', BIND_JOB);
    reconciler.onApplicationBootstrap();
    await isAsked;
    expect(asked).toContain('access-orphan');
    reconciler.onModuleDestroy();
    await reconciler.onApplicationShutdown();
  });

  describe('compares a portal', () => {
    it('with thousands of handlers that say they are ours: two hundred at a time, and none of others', async () => {
      handlers = Array.from({ length: 4_000 }, (_, at) => [
        { event: `ONODD${at}`, handler: handlerUrl },
        { event: `ONODD${at}`, handler: `${handlerUrl}?${at}` },
        { event: 'ONODD\u001b[2J', handler: handlerUrl },
        at,
      ]).flat();
      const job = await compare('crowded');
      expect(job).toMatchObject({
        state: 'done',
        progress: { surplus: 200, foreign: 4_000, unreadable: 8_000 },
      });
      const unbound = commandsOf('crowded').filter((command) => command.startsWith('event.unbind'));
      expect(unbound).toHaveLength(200);
      for (const command of unbound) {
        const params = new URLSearchParams(command.split('?')[1]);
        expect(params.get('handler')).toBe(handlerUrl);
        expect(params.get('event')).toMatch(/^ONODD\d+$/);
      }
    });

    it('whose list is too long to be read is not touched', async () => {
      handlers = Array.from({ length: 100_000 }, (_, at) => ({ event: `ONODD${at}`, handler: handlerUrl }));
      const job = await compare('endless');
      expect(job).toMatchObject({ state: expect.not.stringMatching('done'), error: expect.any(String) });
      expect(commandsOf('endless')).toEqual([]);
      expect((await context.get(DriftChecks).reports()).has('endless')).toBe(false);
    });
  });

  it('asks a portal that does not answer for its language no longer than its job runs', async () => {
    isSilent = true;
    await install('silent');
    const languages = new PortalLanguages(
      context.get(PortalClients),
      context.get(PortalRepository),
      silentLog,
    );
    const job = new AbortController();
    whenAsked = () => job.abort();
    await languages.learn('silent', job.signal);
    expect(job.signal.aborted).toBe(true);
  });
});
