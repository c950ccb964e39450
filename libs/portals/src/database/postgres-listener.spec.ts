import { silentLog } from '@relay/platform';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { eventually } from '../../../../test/support/eventually.js';
import { keptLog, PortalsDatabase } from '../../test/portals-database.js';
import { TcpProxy } from '../../test/tcp-proxy.js';
import { notify, PostgresListener } from './postgres-listener.js';

const listeners = `FROM pg_stat_activity WHERE application_name = 'b24-relay listener' AND datname = current_database()`;

describe('PostgresListener', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  const started: PostgresListener[] = [];
  const proxies: TcpProxy[] = [];

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
  });
  afterEach(async () => {
    await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
    await Promise.all(started.splice(0).map((postgresListener) => postgresListener.stop()));
  });
  afterAll(() => database.close());

  async function listening(
    databaseUrl = database.url,
    timing: { heartbeatMs?: number; answerTimeoutMs?: number } = {},
  ): Promise<{ postgresListener: PostgresListener; heard: string[] }> {
    const postgresListener = new PostgresListener({ databaseUrl, log: silentLog, ...timing });
    started.push(postgresListener);
    const heard: string[] = [];
    postgresListener.on('portals', (subject) => heard.push(subject ?? 'anything'));
    await eventually(() => expect(postgresListener.isListening()).toBe(true));
    return { postgresListener, heard };
  }

  function connections(): Promise<unknown[]> {
    return source.query<unknown[]>(`SELECT pid ${listeners}`);
  }

  it('says that anything may have changed, once it listens', async () => {
    const { heard } = await listening();
    expect(heard).toEqual(['anything']);
  });

  it('hears what is committed, of its topic only, and nothing that is rolled back', async () => {
    const { heard } = await listening();
    await notify(source.manager, 'subscriptions', 'a-consumer');
    const rolledBack = source.transaction(async (manager) => {
      await notify(manager, 'portals', 'never');
      throw new Error('on purpose');
    });
    await expect(rolledBack).rejects.toThrow('on purpose');
    await notify(source.manager, 'portals', 'm1');
    await eventually(() => expect(heard).toEqual(['anything', 'm1']));
  });

  it('listens again after its connection was cut, and says that anything may have changed', async () => {
    const { postgresListener, heard } = await listening();
    await source.query(`SELECT pg_terminate_backend(pid) ${listeners}`);
    await eventually(() => expect(heard).toEqual(['anything', 'anything']));
    expect(postgresListener.isListening()).toBe(true);
    await notify(source.manager, 'portals', 'm2');
    await eventually(() => expect(heard).toContain('m2'));
  });

  it('notices a connection on which nothing arrives any more, and makes another', async () => {
    const proxy = await TcpProxy.open(database.url);
    proxies.push(proxy);
    const timing = { heartbeatMs: 20, answerTimeoutMs: 200 };
    const { postgresListener, heard } = await listening(proxy.url, timing);
    proxy.freeze();
    await eventually(() => expect(postgresListener.isListening()).toBe(false), { timeoutMs: 3_000 });
    proxy.thaw();
    await eventually(() => expect(heard).toEqual(['anything', 'anything']));
  });

  it('says that it hears nothing while the database cannot be reached, and stops when asked to', async () => {
    const proxy = await TcpProxy.open(database.url);
    const gone = proxy.url;
    await proxy.close();
    const { log, lines } = keptLog();
    const postgresListener = new PostgresListener({ databaseUrl: gone, log });
    postgresListener.on('portals', () => undefined);
    await eventually(() => expect(lines.length).toBeGreaterThan(1));
    expect(postgresListener.isListening()).toBe(false);
    await postgresListener.stop();
  });

  it('opens no connection before somebody listens, and leaves none when it stops', async () => {
    const postgresListener = new PostgresListener({ databaseUrl: database.url, log: silentLog });
    await expect(connections()).resolves.toHaveLength(0);
    postgresListener.on('portals', () => undefined);
    await eventually(() => expect(postgresListener.isListening()).toBe(true));
    await postgresListener.stop();
    await eventually(async () => expect(await connections()).toHaveLength(0));
  });

  it('no longer calls a listener that has left', async () => {
    const { postgresListener, heard } = await listening();
    const others: string[] = [];
    const leave = postgresListener.on('portals', (subject) => others.push(subject ?? 'anything'));
    leave();
    await notify(source.manager, 'portals', 'm3');
    await eventually(() => expect(heard).toContain('m3'));
    expect(others).toEqual([]);
  });
});
