import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { DataSource } from 'typeorm';
import { freshDatabase } from '../../../../test/support/database.js';
import { DatabaseClient, databaseOptions, databasePool, prepared } from './database.js';

/** A message of PostgreSQL's protocol (postgresql.org, "Message Formats"). */
function message(type: string, body: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), length, body]);
}
const AUTHENTICATION_OK = message('R', Buffer.from([0, 0, 0, 0]));
const READY_FOR_QUERY = message('Z', Buffer.from('I'));
const SHUTDOWN = message(
  'E',
  Buffer.from('SFATAL\0C57P01\0Mterminating connection due to unexpected postmaster exit\0\0'),
);

/**
 * Simulated, because a real server does this only by chance: it shuts down while it accepts a connection. An unhandled
 * error fails the test.
 */
describe('a server that reports in one packet that it is ready and that it shuts down', () => {
  let server: Server;
  let url: string;
  const sockets = new Set<Socket>();

  beforeEach(async () => {
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(Buffer.concat([AUTHENTICATION_OK, READY_FOR_QUERY, SHUTDOWN])));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    url = `postgresql://relay@127.0.0.1:${typeof address === 'object' ? address?.port : ''}/relay`;
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });

  it('does not end a process that was about to use the connection', async () => {
    const pool = databasePool({ connectionString: url });
    const client = await pool.connect();
    await expect(client.query('SELECT 1')).rejects.toThrow(/terminat|not queryable/);
    client.release(true);
    await pool.end();
  });

  it('does not end a process that opens it through TypeORM', async () => {
    await expect(new DataSource(databaseOptions(url, 'spec')).initialize()).rejects.toThrow(
      /terminat|not queryable/,
    );
  });

  it('does not end a process that opens its own connection', async () => {
    const client = new DatabaseClient(url);
    await client.connect();
    await expect(client.query('SELECT 1')).rejects.toThrow(/terminat|not queryable/);
  });
});

describe('a prepared statement', () => {
  it('is parsed once by a connection, through TypeORM as well', async () => {
    const database = await freshDatabase();
    const source = new DataSource(databaseOptions(database.url, 'spec'));
    await source.initialize();
    const runner = source.createQueryRunner();
    try {
      const twice = prepared('twice', 'SELECT 2 * $1::int AS result');
      expect(await runner.query(twice, [4])).toEqual([{ result: 8 }]);
      expect(await runner.query(twice, [21])).toEqual([{ result: 42 }]);
      const known = 'SELECT name, generic_plans + custom_plans AS runs FROM pg_prepared_statements';
      expect(await runner.query(known)).toEqual([{ name: 'twice', runs: '2' }]);
      await expect(runner.query(prepared('broken', 'SELECT FROM nowhere'))).rejects.toThrow('nowhere');
      await expect(runner.query(prepared('broken', 'SELECT FROM nowhere'))).rejects.toThrow('nowhere');
    } finally {
      await runner.release();
      await source.destroy();
      await database.drop();
    }
  });

  it('runs without its name where a pooler or a migration has changed what is prepared', async () => {
    const database = await freshDatabase();
    const source = new DataSource(databaseOptions(database.url, 'spec'));
    await source.initialize();
    const runner = source.createQueryRunner();
    try {
      const one = prepared('lost', 'SELECT $1::int AS result');
      expect(await runner.query(one, [1])).toEqual([{ result: 1 }]);
      await runner.query('DEALLOCATE ALL');
      expect(await runner.query(one, [2])).toEqual([{ result: 2 }]);
      await runner.query('PREPARE others AS SELECT 7');
      const others = prepared('others', 'SELECT $1::int AS result');
      expect(await runner.query(others, [3])).toEqual([{ result: 3 }]);
      await runner.query('CREATE TABLE kept (a int)');
      const columns = prepared('columns', 'INSERT INTO kept VALUES ($1) RETURNING *');
      await runner.query(columns, [4]);
      await runner.query('ALTER TABLE kept ADD COLUMN b int');
      expect(await runner.query(columns, [5])).toEqual([{ a: 5, b: null }]);
      expect(await runner.query(columns, [6])).toEqual([{ a: 6, b: null }]);
      expect(await runner.query('SELECT a FROM kept ORDER BY a')).toEqual([{ a: 4 }, { a: 5 }, { a: 6 }]);
    } finally {
      await runner.release();
      await source.destroy();
      await database.drop();
    }
  });
});
