import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import amqp from 'amqplib';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { z } from 'zod';
import { pause } from '@relay/platform';
import { hasBroker } from '../support/broker.js';
import { CuttableLink } from '../support/cuttable-link.js';
import { eventually } from '../support/eventually.js';
import { askGateway, command } from '../support/operator.js';
import { findPrometheus, startPrometheus, type PrometheusServer } from '../support/prometheus.mjs';
import { startRelay, type Relay } from '../support/relay.js';
import { contactTypeId, type SimulatedPortal } from '../support/simulated-portal.js';

const apps = ['gateway', 'control-plane', 'name-formatter', 'smart-process-sync'] as const;
const names = [
  'acme',
  'limited',
  'foreign',
  'rejecting',
  'expired',
  'silent',
  'drifting',
  'one',
  'two',
] as const;
type PortalName = (typeof names)[number];

/** The leading control plane counts every ten seconds, Prometheus scrapes every second, and windows are eight seconds long. */
const patience = { timeoutMs: 90_000, everyMs: 500 };

const active = z.object({
  data: z.object({
    alerts: z.array(z.object({ state: z.string(), labels: z.looseObject({ alertname: z.string() }) })),
  }),
});

/** The rules as they are deployed, with times and thresholds that a test can wait for. */
function quickened(): string {
  const rules = readFileSync(join(import.meta.dirname, '../../deploy/prometheus/alerts.yml'), 'utf8');
  const changes: [RegExp, string][] = [
    [/\bfor: \w+/g, 'for: 1s'],
    [/\[\d+m\]/g, '[8s]'],
    [/time\(\) - 120/g, 'time() - 25'],
    [/(relay_bus_oldest_waiting_seconds\)) > 600/g, '$1 > 2'],
    [/(state="waiting"\}\)) > 10000/g, '$1 > 5'],
    [/(work="live"\}\[\w+\]\)\)\)) > 60/g, '$1 > 0.3'],
  ];
  return changes.reduce((text, [pattern, by]) => {
    expect(text).toMatch(pattern);
    return text.replace(pattern, by);
  }, rules);
}

async function poll(isDone: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + patience.timeoutMs;
  while (!(await isDone()) && Date.now() < deadline) await pause(patience.everyMs);
}

/**
 * Real: the apps as processes, RabbitMQ, PostgreSQL, and a Prometheus that scrapes and evaluates deploy/prometheus/alerts.yml with shorter
 * times. Simulated: Bitrix24. Planted in the database: how old a comparison of the mirror is, that one failed, and
 * that a portal was found to be unreachable.
 */
(hasBroker && findPrometheus() !== undefined ? describe : describe.skip)('each alert', () => {
  const folder = mkdtempSync(join(tmpdir(), 'relay-alerts-'));
  const portals = new Map<PortalName, SimulatedPortal>();
  let relay: Relay;
  let prometheus: PrometheusServer;
  let database: pg.Client;
  let links: { gatewayDatabase: CuttableLink; gatewayBus: CuttableLink; formatterDatabase: CuttableLink };

  beforeAll(async () => {
    relay = await startRelay('RabbitMQ', ['name-formatter', 'smart-process-sync'], {
      apart: apps.map((app) => [app]),
    });
    database = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
    await database.connect();
    links = {
      gatewayDatabase: await linkTo('DATABASE_URL', 5432),
      gatewayBus: await linkTo('AMQP_URL', 5672),
      formatterDatabase: await linkTo('DATABASE_URL', 5432),
    };
    await Promise.all(['gateway', 'name-formatter'].map((app) => relay.end(app)));
    await Promise.all([
      relay.start('gateway', {
        DATABASE_URL: through('DATABASE_URL', links.gatewayDatabase),
        AMQP_URL: through('AMQP_URL', links.gatewayBus),
      }),
      startFormatter(),
    ]);
    await Promise.all(
      names.map(async (name) => {
        const portal = await relay.portal(name);
        portals.set(name, portal);
        await portal.install(`${relay.gatewayUrl}/b24/install`);
        await eventually(async () => {
          expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
        });
      }),
    );
    writeFileSync(join(folder, 'alerts.yml'), quickened());
    writeFileSync(
      join(folder, 'prometheus.yml'),
      `global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [alerts.yml]
scrape_configs:
  - job_name: b24-relay
    file_sd_configs: [{ files: [targets.json], refresh_interval: 1s }]
`,
    );
    scrapeRunning();
    prometheus = await startPrometheus(join(folder, 'prometheus.yml'));
    // Every portal has been mirrored once.
    await eventually(async () => {
      const { rows } = await database.query(
        `SELECT DISTINCT member_id FROM portals.tasks WHERE consumer = 'smart-process-sync' AND state = 'done'`,
      );
      expect(rows).toHaveLength(names.length);
    }, patience);
  }, 300_000);

  afterAll(async () => {
    await prometheus?.stop();
    await database?.end();
    for (const link of Object.values(links ?? {})) await link.mend();
    await relay?.stop();
    for (const link of Object.values(links ?? {})) await link.cut();
    rmSync(folder, { recursive: true, force: true });
  }, 120_000);

  function linkTo(variable: string, defaultPort: number): Promise<CuttableLink> {
    const { port, hostname } = new URL(relay.env[variable] ?? '');
    return CuttableLink.to(Number(port || defaultPort), hostname);
  }

  function through(variable: string, link: CuttableLink): string {
    const url = new URL(relay.env[variable] ?? '');
    url.host = `127.0.0.1:${link.port}`;
    return url.href;
  }

  function startFormatter(): Promise<void> {
    return relay.start('name-formatter', {
      DATABASE_URL: through('DATABASE_URL', links.formatterDatabase),
    });
  }

  /** An app that is started again has another port. */
  function scrapeRunning(): void {
    const targets = apps.map((app) => `127.0.0.1:${relay.opsPort(app)}`);
    writeFileSync(join(folder, 'next.json'), JSON.stringify([{ targets }]));
    renameSync(join(folder, 'next.json'), join(folder, 'targets.json'));
  }

  function at(name: PortalName): SimulatedPortal {
    const found = portals.get(name);
    if (!found) throw new Error(`there is no portal ${name}`);
    return found;
  }

  async function addContacts(name: PortalName, count = 1): Promise<void> {
    for (let made = 0; made < count; made += 1) {
      await at(name).add(contactTypeId, { name: 'jOHN', secondName: '', lastName: "o'NEIL" });
    }
  }

  async function addEverywhere(): Promise<void> {
    await Promise.all((['one', 'two', 'acme'] as const).map((name) => addContacts(name)));
  }

  /** What cannot be checked is not accepted. */
  async function postUnknown(): Promise<void> {
    const { status } = await fetch(`${relay.gatewayUrl}/b24/events`, {
      method: 'POST',
      body: new URLSearchParams({
        event: 'ONCRMCONTACTADD',
        ts: '1724697689',
        'data[FIELDS][ID]': '1',
        'auth[domain]': 'stranger.example',
        'auth[member_id]': 'f'.repeat(32),
        'auth[application_token]': 'e'.repeat(32),
      }),
    });
    expect(status).toBe(503);
  }

  async function onBroker(work: (channel: amqp.ConfirmChannel) => Promise<unknown>): Promise<void> {
    const connection = await amqp.connect(relay.env['AMQP_URL'] ?? '');
    try {
      const channel = await connection.createConfirmChannel();
      await work(channel);
      await channel.waitForConfirms();
    } finally {
      await connection.close();
    }
  }

  async function operate(...args: string[]): Promise<void> {
    expect(await command(relay, args)).toMatchObject({ code: 0 });
  }

  async function firing(): Promise<Set<string>> {
    const { data } = active.parse(await (await fetch(`${prometheus.url}/api/v1/alerts`)).json());
    return new Set(
      data.alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels.alertname),
    );
  }

  /**
   * Waits until all of them have fired.
   * @param provoke repeated meanwhile: some alerts need more than one failure
   * @returns those that did not
   */
  async function fire(
    alerts: readonly string[],
    provoke = async (): Promise<void> => undefined,
  ): Promise<string[]> {
    let missing = [...alerts];
    await poll(async () => {
      await provoke();
      const now = await firing();
      missing = missing.filter((name) => !now.has(name));
      return missing.length === 0;
    });
    return missing;
  }

  /** Waits until no alert fires. @returns those that do nevertheless */
  async function resolve(): Promise<string[]> {
    let left: string[] = [];
    await poll(async () => {
      left = [...(await firing())];
      return left.length === 0;
    });
    return left;
  }

  it('is silent while all is well', async () => {
    await addContacts('acme');
    await eventually(async () => {
      const { data } = z
        .object({
          data: z.object({ result: z.array(z.object({ metric: z.record(z.string(), z.string()) })) }),
        })
        .parse(await (await fetch(`${prometheus.url}/api/v1/query?query=relay_portals`)).json());
      expect(data.result.map(({ metric }) => metric['state'])).toContain('installed');
    }, patience);
    expect(await resolve()).toEqual([]);
  }, 200_000);

  it('about portals, the mirror and operators fires, and is resolved', async () => {
    const alerts = [
      'RelayDeadLetters',
      'RelayPortalsSuspended',
      'RelayPortalsNeedAuthorization',
      'RelayPortalsUnreachable',
      'RelayMirrorBehind',
      'RelayMirrorFailed',
      'RelaySubscriptionDrift',
    ];
    await onBroker(async (channel) => channel.sendToQueue('b24.name-formatter.3', Buffer.from('no event')));
    await at('rejecting').suspend('overload');
    await addContacts('rejecting');
    await at('expired').orderFault('oauth.token', 'invalid_grant');
    await at('expired').expireTokens();
    await addContacts('expired');
    await database.query(
      `UPDATE portals.tasks SET requested_at = requested_at - interval '2 days', ended_at = ended_at - interval '2 days'
       WHERE member_id = $1 AND consumer = 'smart-process-sync'`,
      [at('one').memberId],
    );
    await database.query(
      `UPDATE portals.tasks SET state = 'failed' WHERE member_id = $1 AND consumer = 'smart-process-sync'`,
      [at('two').memberId],
    );
    await database.query(
      `INSERT INTO portals.reachability AS r (member_id, watched_since, next_check_at, unreachable_since, reason)
       VALUES ($1, now(), now() + interval '1 hour', now(), 'test')
       ON CONFLICT (member_id) DO UPDATE
         SET next_check_at = excluded.next_check_at, unreachable_since = excluded.unreachable_since, reason = excluded.reason`,
      [at('silent').memberId],
    );
    await at('drifting').dropHandlers();
    await operate('subscriptions', 'apply', at('drifting').memberId);
    expect(await fire(alerts)).toEqual([]);

    await operate('dead', 'drop', '--all');
    await addContacts('silent');
    await at('rejecting').suspend(null);
    await operate('portals', 'resume', at('rejecting').memberId);
    await at('expired').install(`${relay.gatewayUrl}/b24/install`);
    for (const name of ['one', 'two'] as const) {
      await askGateway(relay, 'POST', `/sync/${at(name).memberId}/reconcile`);
    }
    await operate('subscriptions', 'apply', at('drifting').memberId);
    expect(await resolve()).toEqual([]);
  }, 300_000);

  it('about limits and tokens fires, and is resolved', async () => {
    const guesses: Promise<Response>[] = [];
    await operate('portals', 'limit', at('limited').memberId, '0.5/1');
    const provoke = async (): Promise<void> => {
      await at('foreign').orderFault('*', '503');
      await Promise.all([addContacts('limited', 2), addContacts('foreign')]);
      const wrong = { headers: { authorization: 'Bearer wrong' } };
      const url = `http://127.0.0.1:${relay.opsPort('control-plane')}/ops/api/portals`;
      // Each answer is held back for some seconds.
      for (let tries = 0; tries < 10; tries += 1) guesses.push(fetch(url, wrong));
    };
    expect(await fire(['RelayRateLimitTight', 'RelayForeignClient', 'RelayWrongTokens'], provoke)).toEqual(
      [],
    );
    expect(new Set((await Promise.all(guesses)).map(({ status }) => status))).toContain(401);
    await at('foreign').clearFaults();
    await operate('portals', 'limit', at('limited').memberId, 'usual');
    expect(await resolve()).toEqual([]);
  }, 300_000);

  it('about what a gateway cannot reach fires, and is resolved', async () => {
    await links.gatewayBus.cut();
    await addContacts('acme');
    expect(await fire(['RelayJournalNotEmpty'])).toEqual([]);
    await links.gatewayBus.mend();
    links.gatewayDatabase.freeze();
    expect(await fire(['RelayEventsLost', 'RelayEventsAnsweredSlowly'], postUnknown)).toEqual([]);
    await links.gatewayDatabase.cut();
    await links.gatewayDatabase.mend();
    expect(await resolve()).toEqual([]);
  }, 300_000);

  it('about a consumer whose batches fail fires, and is resolved', async () => {
    await links.formatterDatabase.cut();
    expect(
      await fire(['RelayConsumerPaused', 'RelayConsumerBehind', 'RelayHandlerFails'], addEverywhere),
    ).toEqual([]);
    await links.formatterDatabase.mend();
    expect(await resolve()).toEqual([]);
  }, 300_000);

  it('about a process that is gone, and queues that are, fires, and is resolved', async () => {
    await relay.kill('name-formatter');
    await addContacts('one', 8);
    await onBroker((channel) => channel.deleteQueue('b24.name-formatter.dead'));
    expect(
      await fire(['RelayProcessDown', 'RelayConsumerMissing', 'RelayBacklogDeep', 'RelayQueuesRestored']),
    ).toEqual([]);
    await startFormatter();
    scrapeRunning();
    expect(await resolve()).toEqual([]);

    await relay.end('control-plane');
    expect(await fire(['RelayControlPlaneMissing', 'RelayStateUnknown'])).toEqual([]);
    await relay.start('control-plane');
    scrapeRunning();
    expect(await resolve()).toEqual([]);
  }, 300_000);

  it('is among those above', () => {
    const spec = readFileSync(import.meta.filename, 'utf8');
    const defined = [...quickened().matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name);
    expect(defined.length).toBeGreaterThan(15);
    expect(defined.filter((name) => !spec.includes(`'${name}'`))).toEqual([]);
  });
});
