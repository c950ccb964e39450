import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { JobsModule, PortalJobs } from '@relay/jobs';
import { databaseOptions, LeaderLease, loadMigrations, silentLog } from '@relay/platform';
import {
  BindingAttempts,
  EventBindings,
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
import { EventBindingReconciler, PortalLanguages } from './event-binding-reconciler.js';

@Module({})
class Root {}

const withToken = z.object({ auth: z.string() });

describe('binding handlers at many portals', () => {
  /** The tokens of the called portals. */
  const asked = new Set<string>();
  let whenAsked: () => void;
  let isSilent = false;
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
    asked.add(withToken.parse(await json(request)).auth);
    whenAsked();
    if (isSilent) return;
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"result":[]}');
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

  it('ends behind those in hand when the process is to end, and leaves them to the next process, due at once', async () => {
    for (let number = 0; number < 30; number += 1) await install(`m${number}`);
    const lease = new LeaderLease({ databaseUrl: database.url, name: 'spec', log: silentLog });
    const reconciler = new EventBindingReconciler(
      context.get(Subscriptions),
      context.get(EventBindings),
      context.get(BindingAttempts),
      context.get(PortalClients),
      context.get(PortalCache),
      new PortalLanguages(context.get(PortalClients), context.get(PortalRepository), silentLog),
      context.get(PortalJobs),
      context.get(DataSource),
      lease,
      'https://relay.example.com/b24/events',
      silentLog,
    );
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
