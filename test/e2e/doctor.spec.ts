import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import amqp from 'amqplib';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { z } from 'zod';
import { examine, type DoctorOptions } from '../../apps/cli/src/doctor/examine.js';
import type { Finding } from '../../apps/cli/src/doctor/finding.js';
import { runDoctor } from '../../apps/cli/src/doctor/doctor.js';
import { grantToServices } from '../../libs/platform/src/database/database-roles.js';
import { canStartBroker, hasBroker, privateBroker } from '../support/broker.js';
import { freshDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { InstalledApplication } from '../support/installed-application.js';
import { command } from '../support/operator.js';
import { brokerControl } from '../support/private-broker.mjs';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

const run = promisify(execFile);
const role = `relay_test_doctor_${process.pid}_${randomBytes(3).toString('hex')}`;
const password = randomBytes(12).toString('hex');
const reported = z.object({
  findings: z.array(
    z.object({ check: z.string(), state: z.enum(['ok', 'problem', 'skipped']), text: z.string() }),
  ),
});
const ofPort = z.object({ port: z.number() });

/** What is planted: changes to the doctor's variables, or something in the system that `undo` takes away. */
interface Planted {
  env?: Record<string, string>;
  options?: DoctorOptions;
  /** By the built command: Jest's realm hides what kind of error the network has. */
  asProcess?: boolean;
  undo?: () => Promise<unknown>;
}

const problemsIn = (findings: readonly Finding[]): string[] =>
  findings.flatMap(({ check, state, text }) => (state === 'problem' ? [`${check}: ${text}`] : []));

/** Real: gateway, control plane, consumer, PostgreSQL, RabbitMQ. Simulated: Bitrix24. Each fault is planted alone. */
(hasBroker ? describe : describe.skip)('relay doctor', () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  let app: InstalledApplication;
  let database: pg.Client;
  let folder: string;
  let env: Record<string, string>;
  const servers: { close(): unknown }[] = [];
  const seen: string[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'relay-doctor-'));
    relay = await startRelay('RabbitMQ', ['name-formatter']);
    portal = await relay.portal('acme');
    app = new InstalledApplication(relay, portal);
    expect((await app.install('event', app.installUrl)).status).toBe(200);
    const url = new URL(relay.env['DATABASE_URL'] ?? '');
    database = new pg.Client({ connectionString: url.href });
    await database.connect();
    // As in an installation: the services own nothing. (The running ones are the owner here.)
    await database.query(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
    const service = new URL(url);
    [service.username, service.password] = [role, password];
    await grantToServices(url.href, service.href);
    env = { ...relay.env, DATABASE_URL: service.href, OPS_PORT: relay.opsPort('control-plane') };
    await eventually(async () =>
      expect(await portal.eventsBoundTo(app.eventsUrl)).toContain('ONCRMCONTACTUPDATE'),
    );
    // A fresh portal is given some minutes before its bindings are missed.
    await database.query(`UPDATE portals.portals SET installed_at = now() - interval '1 hour'`);
  }, 240_000);
  afterAll(async () => {
    for (const server of servers) server.close();
    await database?.query(`DROP OWNED BY ${role}`);
    await database?.query(`DROP ROLE ${role}`);
    await database?.end();
    await relay?.stop();
    rmSync(folder, { recursive: true, force: true });
  }, 120_000);

  async function look({ env: changes = {}, options = {}, asProcess }: Planted = {}): Promise<Finding[]> {
    const given = { ...env, ...changes };
    const findings = asProcess
      ? reported.parse(JSON.parse((await command(relay, ['doctor', '--json'], { env: given })).screen))
          .findings
      : await examine(given, options);
    seen.push(JSON.stringify(findings));
    return findings;
  }
  async function serve(listener: RequestListener): Promise<string> {
    const server: Server = createServer(listener);
    return `http://127.0.0.1:${await portOf(server)}`;
  }
  async function portOf(server: TcpServer): Promise<number> {
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return ofPort.parse(server.address()).port;
  }
  const changeUrl = (name: string, change: (url: URL) => void): Pick<Planted, 'env'> => {
    const url = new URL(env[name] ?? '');
    change(url);
    return { env: { [name]: url.href } };
  };
  const row = (set: string, back: string) => async (): Promise<Planted> => {
    await database.query(set);
    return { undo: () => database.query(back) };
  };
  async function atBroker(work: (channel: amqp.Channel) => Promise<unknown>): Promise<void> {
    const connection = await amqp.connect(env['AMQP_URL'] ?? '');
    await work(await connection.createChannel());
    await connection.close();
  }

  it('finds everything in order where it is', async () => {
    // Reports and queue checks settle within seconds of a start.
    await eventually(async () => expect(problemsIn(await look())).toEqual([]), {
      timeoutMs: 60_000,
      everyMs: 500,
    });
    const { code, screen } = await command(relay, ['doctor'], { env });
    expect([code, screen]).toEqual([
      0,
      expect.stringMatching(/^✔ settings: .*\nEverything is in order\.\n$/s),
    ]);
    for (const line of screen.trimEnd().split('\n').slice(0, -1)) expect(line).toMatch(/^[✔-] [\w- ]+: \S/);
    const json = await command(relay, ['doctor', '--json'], { env });
    expect([json.code, JSON.parse(json.screen)]).toMatchObject([0, { ok: true }]);
  }, 120_000);

  const faults: [what: string, plant: () => Promise<Planted>, named: RegExp][] = [
    [
      'a setting that is not valid',
      async () => ({ env: { TRUST_PROXY: 'everybody' } }),
      /^settings: TRUST_PROXY must be/,
    ],
    [
      'one of two keys',
      async () => ({ env: { B24_CLIENT_SECRET: '' } }),
      /^settings: B24_CLIENT_SECRET is not set/,
    ],
    [
      'a key that was taken away too early',
      async () => ({ env: { TOKEN_KEYS: `fresh:${randomBytes(32).toString('base64')}` } }),
      /^keys: no key of TOKEN_KEYS is named test, which encrypted \d+ secrets/,
    ],
    [
      'another key under the same name',
      async () => ({ env: { TOKEN_KEYS: `test:${randomBytes(32).toString('base64')}` } }),
      /^keys: the key test of TOKEN_KEYS is not the one/,
    ],
    [
      'a rotation that was not finished',
      async () => ({ env: { TOKEN_KEYS: `new:${randomBytes(32).toString('base64')},${env['TOKEN_KEYS']}` } }),
      /^keys: .*old key test: relay keys rotate/,
    ],
    [
      'an address without a dot',
      async () => changeUrl('PUBLIC_URL', (url) => (url.hostname = 'localhost')),
      /^address: the host of PUBLIC_URL .* has no dot|not bound at http:\/\/localhost/,
    ],
    [
      'an address where nothing listens',
      async () => changeUrl('PUBLIC_URL', (url) => (url.port = '1')),
      /^address: nothing answers at .*\(ECONNREFUSED|no connection|^portals: .*are not bound at/,
    ],
    [
      'an address that leads elsewhere',
      async () => ({
        env: { PUBLIC_URL: await serve((_, response) => response.end('{"status":"welcome"}')) },
      }),
      /^address: something else than a gateway|^portals: .*are not bound at/,
    ],
    [
      'an address that asks for a login',
      async () => ({ env: { PUBLIC_URL: await serve((_, response) => response.writeHead(302).end()) } }),
      /^address: .* answers 302|^portals: .*are not bound at/,
    ],
    [
      'a certificate that nobody trusts',
      () => certificate(30, false),
      /^TLS: the certificate of .* is not accepted|^portals: .*are not bound at/,
    ],
    [
      'a certificate that expires soon',
      () => certificate(5, true),
      /^TLS: the certificate of .* expires in [45] days: renew it|^portals: .*are not bound at/,
    ],
    [
      'no way to the OAuth server',
      async () => ({ env: { B24_OAUTH_URL: 'http://127.0.0.1:1', B24_ALLOW_HOSTS: '127.0.0.1:1' } }),
      /^OAuth server: http:\/\/127\.0\.0\.1:1 does not answer/,
    ],
    [
      'a clock that is wrong',
      async () => {
        const date = new Date(Date.now() - 600_000).toUTCString();
        const url = await serve((_, response) => response.writeHead(404, { date }).end());
        return { env: { B24_OAUTH_URL: url, B24_ALLOW_HOSTS: new URL(url).host } };
      },
      /^time: the clock of this machine is (599|60\d) s ahead of/,
    ],
    [
      'a database that is not there',
      async () => ({ ...changeUrl('DATABASE_URL', (url) => (url.port = '1')), asProcess: true }),
      /^database: Nothing answers at the address in DATABASE_URL/,
    ],
    [
      'a database of another name',
      async () => changeUrl('DATABASE_URL', (url) => (url.pathname = '/no_such_database')),
      /^database: The database named in DATABASE_URL does not exist/,
    ],
    [
      'a database that hangs',
      async () => {
        const server = createTcpServer();
        const port = await portOf(server);
        return {
          ...changeUrl('DATABASE_URL', (url) => (url.port = String(port))),
          options: { timeoutMs: 2_000 },
        };
      },
      /^database: it did not answer within 2 s/,
    ],
    [
      'a database without migrations',
      async () => {
        const empty = await freshDatabase();
        return { env: { DATABASE_URL: empty.url }, undo: () => empty.drop() };
      },
      /^migrations: .*run `npm run migrate`/,
    ],
    [
      'a service that is a superuser',
      async () => ({ env: { DATABASE_URL: relay.env['DATABASE_URL'] ?? '' } }),
      /^database role: .* is a superuser/,
    ],
    [
      'a permission that is missing',
      row(`REVOKE UPDATE ON portals.portals FROM ${role}`, `GRANT UPDATE ON portals.portals TO ${role}`),
      /^database role: .* may not read and write portals\.portals/,
    ],
    [
      'a standby',
      row(
        `ALTER ROLE ${role} SET default_transaction_read_only = on`,
        `ALTER ROLE ${role} RESET default_transaction_read_only`,
      ),
      /^database: it accepts no writes/,
    ],
    [
      'a transaction that was forgotten',
      forgottenTransaction,
      /^transactions: a transaction of .*is open for/,
    ],
    [
      'a broker that is not there',
      async () => ({ ...changeUrl('AMQP_URL', (url) => (url.port = '1')), asProcess: true }),
      /^broker connection: Nothing answers at the address in AMQP_URL/,
    ],
    [
      'a wrong password of the broker',
      async () => changeUrl('AMQP_URL', (url) => (url.password = 'mistyped')),
      /^broker connection: RabbitMQ rejects the user or the password/,
    ],
    [
      'a virtual host that does not exist',
      async () => changeUrl('AMQP_URL', (url) => (url.pathname = '/no-such-host')),
      /^broker connection: The virtual host in AMQP_URL does not exist/,
    ],
    [
      'a queue with other arguments',
      otherQueue,
      /^topology: queue b24\.name-formatter\.retry\.1h is different/,
    ],
    [
      'a folder that is not there',
      async () => ({ env: { DATA_DIR: join(folder, 'nothing') } }),
      /^disk: DATA_DIR .* does not exist/,
    ],
    [
      'a disk that is full',
      async () => ({ options: { minFreeBytes: Number.MAX_SAFE_INTEGER } }),
      /^disk: only .* GB are free/,
    ],
    [
      'a disk that cannot be written',
      async () => ({ env: { DATA_DIR: fileIn() } }),
      /^disk: DATA_DIR .* cannot be written/,
    ],
    [
      'a portal that must be authorized again',
      row(
        `UPDATE portals.portals SET state = 'needs-reauth'`,
        `UPDATE portals.portals SET state = 'installed'`,
      ),
      /^portals: acme.*needs-reauth: an administrator must open the application there/,
    ],
    [
      'a portal that rejects everything',
      row(
        `UPDATE portals.portals SET state = 'suspended', suspended_reason = 'OVERLOAD_LIMIT', suspended_times = 1,
           suspended_until = now() + interval '5 hours'`,
        `UPDATE portals.portals SET state = 'installed', suspended_reason = NULL, suspended_times = 0, suspended_until = NULL`,
      ),
      /^portals: acme.*suspended: OVERLOAD_LIMIT, next try .*relay portals resume/,
    ],
    [
      'a permission that the application lacks',
      row(
        `UPDATE portals.event_bindings SET state = 'out-of-scope', permission = 'crm' WHERE name = 'ONCRMCONTACTADD'`,
        `UPDATE portals.event_bindings SET state = 'bound', permission = NULL WHERE name = 'ONCRMCONTACTADD'`,
      ),
      /^portals: acme.*lacks the permission crm \(ONCRMCONTACTADD\)/,
    ],
    [
      'a binding that fails',
      row(
        `INSERT INTO portals.binding_attempts (member_id, work, handler, scope, attempts, next_attempt_at, error)
         SELECT member_id, 'bind', 'x', '{}', 3, now() + interval '1 hour', 'TIMEOUT' FROM portals.portals`,
        `DELETE FROM portals.binding_attempts`,
      ),
      /^portals: acme.*its events could not be bound \(TIMEOUT\)/,
    ],
    [
      'a mode that nobody serves',
      row(
        `UPDATE portals.portals SET delivery_mode = 'offline'`,
        `UPDATE portals.portals SET delivery_mode = 'both'`,
      ),
      /^portals: acme.*its mode is offline, and nobody reads its offline queue: start offline-puller/,
    ],
    [
      'a token pair that nobody renews',
      row(
        `UPDATE portals.credentials SET updated_at = now() - interval '170 days'`,
        `UPDATE portals.credentials SET updated_at = now()`,
      ),
      /^portals: acme.*its token pair is 170 days old/,
    ],
    [
      'settings that the consumer does not take',
      row(
        `UPDATE portals.portals SET settings = '{"name-formatter": {"particels": 1}}'`,
        `UPDATE portals.portals SET settings = '{}'`,
      ),
      /^portal settings: those of name-formatter at acme.*"particels" \(did you mean particles\?\)/,
    ],
    [
      'an install that nobody confirms',
      row(
        `INSERT INTO portals.pending_installs (member_id, proof_hash, sealed_claim, tries, next_try_at, kept_at)
         VALUES ('pending', decode(repeat('00', 32), 'hex'), 'v1:test:AAAA', 9, now() + interval '1 day', now() - interval '1 hour')`,
        `DELETE FROM portals.pending_installs`,
      ),
      /^installs: 1 claims are not confirmed|^keys: the key test/,
    ],
    [
      'a wrong OPS_TOKEN',
      async () => ({ env: { OPS_TOKEN: 'x'.repeat(16) } }),
      /^admin API: it rejects OPS_TOKEN/,
    ],
    ['dead letters', deadLetter, /^consumer name-formatter: 1 dead letters: relay dead list/],
    [
      'an event that is wanted and reached nobody',
      unroutedEvent,
      /^unrouted: 1 events ONCRMCONTACTADD reached nobody, though name-formatter/,
    ],
  ];

  it.each(faults)(
    'names %s',
    async (_, plant, named) => {
      const planted = await plant();
      try {
        const problems = await eventually(async () => {
          const found = problemsIn(await look(planted));
          expect(found).toContainEqual(expect.stringMatching(named));
          return found;
        });
        // Nothing is accused that is well.
        expect(problems.filter((line) => !named.test(line))).toEqual([]);
      } finally {
        await planted.undo?.();
      }
    },
    120_000,
  );

  it('sends the token of an npm start that was ended to no port of this machine', async () => {
    const { OPS_PORT: _, OPS_TOKEN: token, ...others } = env;
    const dataDir = mkdtempSync(join(folder, 'ended-'));
    writeFileSync(join(dataDir, 'secrets.env'), `OPS_TOKEN=${token}\n`);
    const { text } = await runDoctor({ ...others, DATA_DIR: dataDir });
    expect(text).toContain('control plane: 1 at work');
    expect(text).not.toContain('admin API');
  });

  it('is in order again after all this', async () => {
    await eventually(async () => expect(problemsIn(await look())).toEqual([]), {
      timeoutMs: 60_000,
      everyMs: 500,
    });
  }, 120_000);

  (canStartBroker() ? it : it.skip)(
    'names a broker in alarm',
    async () => {
      const broker = await privateBroker();
      try {
        const limit = (...to: string[]) =>
          run(brokerControl, ['-n', broker.node, '-q', 'set_vm_memory_high_watermark', ...to], {
            env: { ...process.env, HOME: broker.home },
          });
        await limit('absolute', '1MB');
        await eventually(async () => {
          const found = problemsIn(await look({ env: { AMQP_URL: broker.url } }));
          expect(found).toContainEqual(
            expect.stringMatching(/^broker: RabbitMQ is in alarm \(low on memory\)/),
          );
        });
      } finally {
        await broker.stop();
      }
    },
    240_000,
  );

  it('names what does not run, one after the other, without a control plane', async () => {
    await relay.end('name-formatter');
    await isNamed(/^consumer name-formatter: no process of it works/);
    await relay.end('control-plane');
    await isNamed(/^control plane: none has reported/);
    await database.query(`DELETE FROM portals.event_bindings WHERE name = 'ONCRMCONTACTADD'`);
    await isNamed(
      /^portals: acme.*ONCRMCONTACTADD are not bound at .*a control plane with this PUBLIC_URL must run/,
    );
    await relay.end('gateway');
    await isNamed(/^gateway: none has reported/);
    const { code, screen } = await command(relay, ['doctor'], { env });
    expect([code, screen]).toEqual([
      1,
      expect.stringMatching(/^✘ control plane: none has reported.*\d problems\.\n$/ms),
    ]);
    const json = await command(relay, ['doctor', '--json'], { env });
    expect([json.code, JSON.parse(json.screen)]).toMatchObject([1, { ok: false }]);
    seen.push(screen, json.screen);
  }, 240_000);

  it('shows no secret, and nothing that steers a terminal', async () => {
    await database.query(`UPDATE portals.portals SET state = 'needs-reauth', domain = $1`, [
      'acme\u001b[2J\u202e.example',
    ]);
    const { screen } = await command(relay, ['doctor'], { env });
    expect(screen).toContain('.example');
    const all = [...seen, screen].join('\n');
    expect(all).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u);
    const passwords = [password, new URL(env['AMQP_URL'] ?? '').password].filter((each) => each.length > 6);
    for (const secret of [...relay.secrets, ...passwords]) expect(all).not.toContain(secret);
  }, 60_000);

  it.each([
    ['a second connection', 'b24-relay doctor', 2, 'could not be checked: .|it did not answer within 15 s'],
    ['the question for migrations', '"migrations"', 1, 'it did not answer within 15 s'],
  ])(
    'ends with its report where the database takes %s, and never answers',
    async (_, text, nth, named) => {
      const { code, screen } = await command(relay, ['doctor'], {
        env: { ...env, DATABASE_URL: await silentFrom(text, nth) },
      });
      expect(code).toBe(1);
      expect(screen).toMatch(new RegExp(`^✘ database: .*(${named})`, 'm'));
      expect(screen).toMatch(/^✔ broker.*^\d problems?\.\n$/ms);
    },
    60_000,
  );

  /** PostgreSQL, which is not told the nth text like this, nor what follows it. @returns its address */
  async function silentFrom(text: string, nth: number): Promise<string> {
    const url = new URL(env['DATABASE_URL'] ?? '');
    const [host, port] = [url.hostname, Number(url.port)];
    let told = 0;
    const server = createTcpServer((socket) => {
      const inner = connect(port, host);
      let isSilent = false;
      socket.on('data', (sent) => {
        if (sent.includes(text) && (told += 1) === nth) isSilent = true;
        if (!isSilent) inner.write(sent);
      });
      inner.pipe(socket);
      for (const [one, other] of [
        [socket, inner],
        [inner, socket],
      ] as const)
        one.on('error', () => undefined).on('close', () => other.destroy());
    });
    url.port = String(await portOf(server));
    return url.href;
  }

  async function isNamed(named: RegExp): Promise<void> {
    await eventually(
      async () => expect(problemsIn(await look())).toContainEqual(expect.stringMatching(named)),
      { timeoutMs: 60_000, everyMs: 500 },
    );
  }

  function fileIn(): string {
    const path = join(folder, 'file');
    writeFileSync(path, '');
    return path;
  }

  /** @param days until it expires. @param isTrusted by the command */
  async function certificate(days: number, isTrusted: boolean): Promise<Planted> {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
    await run('openssl', [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      String(days),
      '-keyout',
      key,
      '-out',
      cert,
      ...subject,
    ]);
    const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) =>
      response.end('{"status":"live"}'),
    );
    const PUBLIC_URL = `https://127.0.0.1:${await portOf(server)}`;
    return isTrusted
      ? { env: { PUBLIC_URL, NODE_EXTRA_CA_CERTS: cert }, asProcess: true }
      : { env: { PUBLIC_URL } };
  }

  async function forgottenTransaction(): Promise<Planted> {
    // Of the services' own role: PostgreSQL shows it no others.
    const client = new pg.Client({ connectionString: env['DATABASE_URL'] });
    await client.connect();
    await client.query('BEGIN');
    await client.query('SELECT 1');
    return { options: { longTransactionMs: 1 }, undo: () => client.end() };
  }

  /** A queue that is only missing would be declared again by the gateway. */
  async function otherQueue(): Promise<Planted> {
    const queue = 'b24.name-formatter.retry.1h';
    await atBroker(async (channel) => {
      await channel.deleteQueue(queue);
      await channel.assertQueue(queue, { arguments: { 'x-queue-type': 'quorum' } });
    });
    return {
      undo: async () => {
        await atBroker((channel) => channel.deleteQueue(queue));
        // The gateway declares it again.
        await eventually(async () => expect(problemsIn(await look())).toEqual([]), {
          timeoutMs: 60_000,
          everyMs: 500,
        });
      },
    };
  }

  async function deadLetter(): Promise<Planted> {
    const queue = 'b24.name-formatter.dead';
    await atBroker(async (channel) => {
      channel.sendToQueue(queue, Buffer.from('{}'));
      await channel.checkQueue(queue);
    });
    return { undo: () => atBroker((channel) => channel.purgeQueue(queue)) };
  }

  /** As if its binding had been missing for a moment. */
  async function unroutedEvent(): Promise<Planted> {
    const queue = 'b24.unrouted';
    const event = {
      v: 1,
      id: '0190b7a0-0000-7000-8000-000000000000',
      memberId: portal.memberId,
      name: 'ONCRMCONTACTADD',
      entityTypeId: 0,
      entityId: '1',
      entity: 'CRMCONTACT:1',
      data: { FIELDS: { ID: '1' } },
      ts: 1_724_697_689,
      receivedAt: Date.now(),
    };
    await atBroker(async (channel) => {
      channel.sendToQueue(queue, Buffer.from(JSON.stringify(event)));
      await channel.checkQueue(queue);
    });
    return { undo: () => atBroker((channel) => channel.purgeQueue(queue)) };
  }
});
