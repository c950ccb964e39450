import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { NestFactory } from '@nestjs/core';
import { Module, type INestApplicationContext } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { databaseOptions, silentLog } from '@relay/platform';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { eventually } from '../../../test/support/eventually.js';
import { PortalsDatabase } from '../test/portals-database.js';
import { portOf } from '../test/port-of.js';
import { SingleUseOAuth } from '../test/single-use-oauth.js';
import {
  EventBindings,
  PendingInstalls,
  PORTAL_ENTITIES,
  PortalClients,
  PortalCache,
  PortalRepository,
  PortalSettings,
  PortalsModule,
  Subscriptions,
} from './index.js';

@Module({})
class Root {}

describe('PortalsModule', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let oauth: SingleUseOAuth;
  const servers: Server[] = [];

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    oauth = await SingleUseOAuth.start();
  });
  afterAll(async () => {
    for (const server of servers) server.closeAllConnections();
    for (const server of servers) server.close();
    await oauth.stop();
    await database.close();
  });

  function start(): Promise<INestApplicationContext> {
    const portals = PortalsModule.forRoot({
      tokenKeys: [{ id: 'k1', key: randomBytes(32) }],
      oauth: { urls: [oauth.url], clientId: 'id', clientSecret: 'secret' },
      allowHosts: ['127.0.0.1'],
      log: silentLog,
      databaseUrl: database.url,
    });
    const orm = TypeOrmModule.forRoot(databaseOptions(database.url, 'under-test', PORTAL_ENTITIES));
    return NestFactory.createApplicationContext({ module: Root, imports: [orm, portals] }, { logger: false });
  }

  async function connections(): Promise<string[]> {
    const rows = await source.query<{ name: string }[]>(
      `SELECT application_name AS name FROM pg_stat_activity
       WHERE datname = current_database() AND application_name <> 'b24-relay spec'`,
    );
    return rows.map(({ name }) => name);
  }

  function storedToken(memberId: string): Promise<unknown[]> {
    return source.query('SELECT access_token FROM portals.credentials WHERE member_id = $1', [memberId]);
  }

  /** A portal that finds one token expired, and takes any other. */
  async function startPortal(expiredToken: string): Promise<{ clientEndpoint: string; asked: unknown[] }> {
    const asked: unknown[] = [];
    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const expired = (await text(request)).includes(expiredToken);
      asked.push(request.url);
      response.writeHead(expired ? 401 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(expired ? { error: 'expired_token' } : { result: 'done' }));
    };
    const server = createServer((request, response) => void answer(request, response));
    servers.push(server);
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const clientEndpoint = `http://127.0.0.1:${portOf(server)}/rest/`;
    oauth.answer = { client_endpoint: clientEndpoint };
    return { clientEndpoint, asked };
  }

  it('provides each of its services by its class', async () => {
    const app = await start();
    for (const service of [
      EventBindings,
      PendingInstalls,
      PortalClients,
      PortalCache,
      PortalRepository,
      PortalSettings,
      Subscriptions,
    ]) {
      expect(app.get<unknown>(service)).toBeInstanceOf(service);
    }
    await app.close();
  });

  it('leaves no connection when the application is closed', async () => {
    const app = await start();
    await app.get(PortalCache).find('m1');
    await eventually(async () => expect(await connections()).toContain('b24-relay listener'));
    await app.close();
    await eventually(async () => expect(await connections()).toEqual([]));
  });

  it('calls an installed portal, refreshes its expired token on the way, and is found in the cache', async () => {
    const grant = oauth.grant('m1');
    const { clientEndpoint, asked } = await startPortal(grant.accessToken);
    const app = await start();
    await app.get(PortalRepository).install({ ...grant, clientEndpoint }, { applicationToken: 't' });
    const clients = app.get(PortalClients);
    expect(clients.for('m1')).toBe(clients.for('m1'));
    await expect(clients.for('m1').call('profile')).resolves.toMatchObject({ result: 'done' });
    expect(asked).toEqual(['/rest/profile', '/rest/profile']);
    expect(oauth.exchanges.get('m1')).toBe(1);
    await expect(clients.for('m2').call('profile')).rejects.toMatchObject({ code: 'NOT_INSTALLED' });
    await expect(app.get(PortalCache).find('m1')).resolves.toMatchObject({
      domain: new URL(clientEndpoint).host,
    });
    await app.close();
  });

  it('waits with closing until a refresh in flight is stored', async () => {
    const grant = oauth.grant('m3');
    const release = oauth.hold();
    const { clientEndpoint } = await startPortal(grant.accessToken);
    const app = await start();
    await app.get(PortalRepository).install({ ...grant, clientEndpoint }, { applicationToken: 't' });
    const before = await storedToken('m3');
    const caller = new AbortController();
    const call = app.get(PortalClients).for('m3').call('profile', {}, { signal: caller.signal });
    await eventually(() => expect(oauth.exchanges.get('m3')).toBe(1));
    caller.abort(new Error('shutting down'));
    await expect(call).rejects.toThrow('shutting down');

    const closed = app.close();
    release();
    await closed;
    await expect(storedToken('m3')).resolves.not.toEqual(before);
  });
});
