/**
 * The system under test: built gateways, a control plane and consumers, each behind its own proxies to a private broker and database.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DataSource } from 'typeorm';
import { freePort } from '../support/free-port.mjs';
import { buildNextVersion } from '../support/next-version.mjs';
import { privateBroker } from '../support/private-broker.mjs';
import { privatePostgres } from '../support/private-postgres.mjs';
import { tcpProxy } from '../support/tcp-proxy.mjs';
import { journalDisk } from './disk.mjs';
import { hostilePortals } from './hostile-portals.mjs';
import { Replica } from './replica.mjs';

const dist = join(import.meta.dirname, '../../dist');
/** @param {string} path below dist/ */
const built = (path) => import(join(dist, path));

const leastSecondsForBombs = 60;
/** One takes over from the other. */
const pullers = 2;

/** @typedef {'rabbitmq' | 'postgresql'} Bus */
/** @typedef {import('../support/tcp-proxy.mjs').TcpProxy} TcpProxy */
/**
 * @typedef {object} Member
 * @property {Replica} replica
 * @property {TcpProxy} toDatabase
 * @property {TcpProxy | undefined} toBroker
 */
/**
 * @typedef {object} System
 * @property {Bus} bus
 * @property {import('../support/private-postgres.mjs').PrivatePostgres} database
 * @property {import('../support/private-broker.mjs').PrivateBroker | undefined} broker
 * @property {{ gateways: TcpProxy, consumers: TcpProxy } | undefined} doors of the broker: all of them pass one or the other
 * @property {import('./bus-view.mjs').DeadLetter[]} savedLetters taken out of a broker that is about to lose them
 * @property {import('./disk.mjs').JournalDisk} disk
 * @property {Member[]} gateways
 * @property {Member[]} controlPlanes
 * @property {Member[]} pullers in mode `both`
 * @property {Member[]} consumers
 * @property {TcpProxy | undefined} front of the gateways in mode `both`: the portals' only way to them
 * @property {string[]} gatewayUrls in the order of the gateways
 * @property {string} nextDist the apps as the next version has them
 * @property {boolean} isUpgraded there was a rollback: whoever starts now is of the next version
 */
/**
 * @typedef {object} SystemOptions
 * @property {Bus} bus
 * @property {readonly import('./traffic.mjs').Portal[]} portals whose events the harness sends: none in mode `both`
 * @property {import('./changing-portals.mjs').ChangingPortals | undefined} changing those of mode `both`
 * @property {{ id: string, secret: string }} application
 * @property {string} ledgerUrl
 * @property {string} folder for logs and the journal
 * @property {number} seconds in which faults are made
 * @property {number} gateways
 * @property {number} consumers
 * @property {(processName: string) => void} onEnd
 * @property {import('./replica.mjs').ReplicaOptions['onUnaskedEnd']} onUnaskedEnd
 */

export function makeFolder() {
  return mkdtempSync(join(tmpdir(), 'relay-chaos-'));
}

/** What each says once it has started. @type {Record<string, string>} */
const startedMarks = {
  gateway: '"msg":"gateway listens"',
  'control-plane': '"msg":"control plane started"',
  puller: '"msg":"offline-puller takes events"',
  consumer: '"msg":"ledger takes events"',
};

/** @param {SystemOptions} options @param {import('./closers.mjs').Closers} closers @returns {Promise<System>} */
export async function startSystem(options, closers) {
  const { bus, folder } = options;
  const database = await privatePostgres();
  closers.add(database.stop);
  const broker = bus === 'rabbitmq' ? await privateBroker() : undefined;
  if (broker) closers.add(broker.stop);
  const doors = broker && {
    gateways: await tcpProxy(broker.url),
    consumers: await tcpProxy(broker.url),
  };
  closers.add(async () => {
    await doors?.gateways.close();
    await doors?.consumers.close();
  });
  const next = await buildNextVersion();
  closers.add(next.remove);
  const disk = await journalDisk(folder);
  closers.add(disk.close);

  const key = randomBytes(32);
  const env = {
    DATA_DIR: disk.path,
    TOKEN_KEYS: `chaos:${key.toString('base64')}`,
    OPS_TOKEN: randomBytes(16).toString('hex'),
    LEDGER_URL: options.ledgerUrl,
    // As in docker-compose.yml: unbounded growth ends the process and is noticed.
    NODE_OPTIONS: '--max-old-space-size=176 --max-semi-space-size=4',
  };
  await promisify(execFile)(process.execPath, [join(dist, 'libs/platform/src/migrate.js')], {
    env: { PATH: process.env['PATH'], DATABASE_URL: database.url },
  });
  const hostile = await hostilePortals({ withBombs: options.seconds >= leastSecondsForBombs });
  closers.add(hostile.close);
  if (options.portals.length > 0) {
    await registerPortals(database.url, key, options.portals, hostile.port);
  }
  const hostileEnv = {
    HOSTILE_PORTALS: options.portals.flatMap(({ memberId, isHostile }) => (isHostile ? memberId : [])).join(),
    B24_ALLOW_HOSTS: options.portals
      .flatMap((portal, index) => (portal.isHostile ? hostOf(index, hostile.port) : []))
      .join(),
  };
  const { changing, application } = options;
  const applicationEnv = changing && {
    B24_CLIENT_ID: application.id,
    B24_CLIENT_SECRET: application.secret,
    B24_OAUTH_URL: changing.url,
    B24_ALLOW_HOSTS: new URL(changing.url).host,
  };

  /** @param {string} name @param {string} entry @param {Record<string, string>} more @returns {Promise<Member>} */
  const member = async (name, entry, more) => {
    const toDatabase = await tcpProxy(database.url);
    const toBroker =
      doors && (await tcpProxy(doors[/^(?:consumer|puller)/.test(name) ? 'consumers' : 'gateways'].url));
    const opsPort = await freePort();
    const replica = new Replica({
      name,
      entry,
      env: {
        ...env,
        ...more,
        ...applicationEnv,
        OPS_PORT: String(opsPort),
        DATABASE_URL: toDatabase.url,
        AMQP_URL: toBroker?.url,
      },
      opsUrl: `http://127.0.0.1:${opsPort}`,
      logFile: join(folder, `${name}.log`),
      onEnd: options.onEnd,
      startedMark: startedMarks[name.replace(/-\d+$/, '')] ?? '',
      onUnaskedEnd: options.onUnaskedEnd,
    });
    closers.add(async () => {
      await toDatabase.close();
      await toBroker?.close();
    });
    closers.add(() => replica.close());
    return { replica, toDatabase, toBroker };
  };
  /** @type {System} */
  const system = {
    bus,
    database,
    broker,
    doors,
    savedLetters: [],
    disk,
    gateways: [],
    controlPlanes: [],
    pullers: [],
    consumers: [],
    front: undefined,
    gatewayUrls: [],
    nextDist: next.dist,
    isUpgraded: false,
  };
  for (let number = 1; number <= options.gateways; number += 1) {
    system.gatewayUrls.push(`http://127.0.0.1:${await freePort()}`);
  }
  if (changing) {
    const [first = '', ...others] = system.gatewayUrls;
    const front = await tcpProxy(first, others);
    closers.add(front.close);
    system.front = front;
  }
  for (const [at, url] of system.gatewayUrls.entries()) {
    const entry = 'dist/apps/gateway/src/main.js';
    const own = { PORT: new URL(url).port, PUBLIC_URL: new URL(system.front?.url ?? url).origin };
    system.gateways.push(await member(`gateway-${at + 1}`, entry, own));
  }
  const controlPlane = 'dist/apps/control-plane/src/main.js';
  const publicUrl = { PUBLIC_URL: new URL(system.front?.url ?? system.gatewayUrls[0] ?? '').origin };
  system.controlPlanes.push(await member('control-plane-1', controlPlane, publicUrl));
  for (let number = 1; number <= (changing ? pullers : 0); number += 1) {
    const entry = 'dist/apps/offline-puller/src/main.js';
    system.pullers.push(await member(`puller-${number}`, entry, {}));
  }
  for (let number = 1; number <= options.consumers; number += 1) {
    system.consumers.push(await member(`consumer-${number}`, 'test/chaos/consumer.mjs', hostileEnv));
  }
  const all = [...system.gateways, ...system.controlPlanes, ...system.pullers, ...system.consumers];
  await Promise.all(all.map(({ replica }) => replica.start()));
  return system;
}

/**
 * One address of this machine per portal, since each host belongs to one portal.
 * @param {number} index
 * @param {number} port
 */
const hostOf = (index, port) => `127.0.${1 + Math.floor(index / 250)}.${1 + (index % 250)}:${port}`;

/**
 * Each by a pair of webhooks, so that its events are believed; nobody calls those that are not hostile.
 * @param {string} url
 * @param {Buffer} key
 * @param {SystemOptions['portals']} portals
 * @param {number} hostilePort
 */
async function registerPortals(url, key, portals, hostilePort) {
  const { databaseOptions } = await built('libs/platform/src/index.js');
  const { PortalRepository, PORTAL_ENTITIES } = await built('libs/portals/src/index.js');
  const { SecretBox } = await built('libs/portals/src/encryption/secret-box.js');
  const source = await new DataSource(databaseOptions(url, 'chaos', PORTAL_ENTITIES)).initialize();
  try {
    const hosts = portals.map((_, index) => hostOf(index, hostilePort));
    const portalRepository = new PortalRepository(source, new SecretBox([{ id: 'chaos', key }]), hosts);
    for (const [index, { memberId, domain, token, isHostile }] of portals.entries()) {
      const webhookUrl = `${isHostile ? `http://${hosts[index]}` : `https://${domain}`}/rest/1/${token}/`;
      await portalRepository.registerWebhook({ memberId, webhookUrl, applicationToken: token });
    }
  } finally {
    await source.destroy();
  }
}
