import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { eventually } from '../support/eventually.js';
import { command } from '../support/operator.js';
import { RecordingLink } from '../support/recording-link.js';
import { startRelay, type Relay } from '../support/relay.js';
import { contactTypeId, type SimulatedPortal } from '../support/simulated-portal.js';
import { TraceCollector } from '../support/trace-collector.js';

/** What strangers send: none of it may be found again, wherever they put it. */
const planted = 'pl4nted-s3cr3t-0123456789';

/**
 * Everything that goes wrong goes wrong here, at the most talkative level; then whatever the system has written is
 * searched for every secret that it was given, and for every one that passed between it and Bitrix24. The bus is in
 * PostgreSQL, so that dead letters are searched with all other rows. Real: processes, PostgreSQL. Simulated: Bitrix24.
 */
describe('secrets', () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  let toGateway: RecordingLink;
  let toOAuth: RecordingLink;
  let collector: TraceCollector;
  const screens: string[] = [];
  const apps = ['gateway', 'control-plane', 'name-formatter'];

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', []);
    toGateway = await RecordingLink.to(Number(new URL(relay.gatewayUrl).port));
    toOAuth = await RecordingLink.to(relay.outside.port);
    collector = await TraceCollector.start();
    const changes = {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      PUBLIC_URL: toGateway.url,
      B24_OAUTH_URL: toOAuth.url,
      B24_ALLOW_HOSTS: `${relay.env['B24_ALLOW_HOSTS']},${new URL(toOAuth.url).host}`,
    };
    await relay.restart(changes);
    await relay.start('name-formatter', changes);
    portal = await relay.portal('acme');
    await portal.install(`${toGateway.url}/b24/install`);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${toGateway.url}/b24/events`)).toContain('ONCRMCONTACTUPDATE');
    });
  }, 120_000);
  afterAll(async () => {
    await relay?.stop();
    await toGateway?.close();
    await toOAuth?.close();
    await collector?.stop();
  }, 60_000);

  it.each(['events', 'install', 'app'])(
    'are sent to /b24/%s by strangers, who are rejected',
    async (path) => {
      const form = `event=ONCRMCONTACTUPDATE&auth%5Bmember_id%5D=${portal.memberId}&auth%5Bdomain%5D=${portal.domain}`;
      const tokens = ['access_token', 'refresh_token', 'application_token'].map(
        (name) => `auth%5B${name}%5D=${planted}`,
      );
      const bodies = [
        [form, ...tokens].join('&'),
        `AUTH_ID=${planted}&REFRESH_ID=${planted}&APPLICATION_TOKEN=${planted}&member_id=${portal.memberId}`,
        `${form}&${tokens.join('&')}&data%5B${planted}%5D=%FF`,
        `${tokens.join('&')}&${`a[${planted}]`.repeat(200)}=1`,
        `${tokens.join('&')}&x=${'x'.repeat(300_000)}`,
        JSON.stringify({ auth: { access_token: planted } }),
      ];
      for (const body of bodies) {
        for (const type of ['application/x-www-form-urlencoded', 'application/json', `text/${planted}`]) {
          const answer = await fetch(`${relay.gatewayUrl}/b24/${path}?auth=${planted}&code=${planted}`, {
            method: 'POST',
            headers: { 'content-type': type, authorization: `Bearer ${planted}`, cookie: `a=${planted}` },
            body,
          });
          expect(answer.status).toBeGreaterThanOrEqual(400);
          screens.push(await answer.text());
        }
      }
    },
  );

  it.each(['html', 'drop'])(
    'are in a refresh that fails, and in the next, which works: %s',
    async (kind) => {
      await portal.orderFault('oauth.token', kind);
      await portal.expireTokens();
      const name = `Ada ${kind.toUpperCase()}`;
      const { id } = await portal.add(contactTypeId, {
        name: name.toLowerCase(),
        secondName: '',
        lastName: 'Li',
      });
      await eventually(async () => {
        expect((await portal.item(contactTypeId, id)).name).not.toBe(name.toLowerCase());
      });
      expect(relay.log()).toContain('no valid response from the OAuth server');
    },
    60_000,
  );

  it('are in calls that a portal answers wrongly, until an event is given up', async () => {
    const kinds = ['html', 'html', 'html', 'cut', 'drop', '500', '500', '500', 'expired', 'denied'];
    for (const kind of kinds) await portal.orderFault('crm.item.list', kind);
    await eventually(
      async () => {
        await portal.add(contactTypeId, { name: 'grace', secondName: '', lastName: 'li' });
        expect(relay.log()).toMatch(/"code":"ACCESS_DENIED".*a message became a dead letter/);
      },
      { timeoutMs: 60_000, everyMs: 500 },
    );
  }, 90_000);

  it('are typed by operators', async () => {
    const webhook = `https://demo.bitrix24.com/rest/1/${planted}/`;
    const typed = [
      command(relay, ['portals', 'webhook'], { input: `${portal.webhookUrl}\n${planted}\n` }),
      command(relay, ['portals', 'webhook'], {
        input: `http://[${planted}]/rest/1/${planted}/\n${planted}\n`,
      }),
      command(relay, ['portals', 'webhooks', webhook]),
      command(relay, ['portals', '--json']),
      command(relay, ['portals'], { env: { OPS_TOKEN: planted } }),
    ];
    const ended = await Promise.all(typed);
    expect(ended.map(({ code }) => code)).toEqual([0, 2, 2, 0, 1]);
    screens.push(...ended.map(({ screen }) => screen));
  }, 60_000);

  it('are nowhere in what was written', async () => {
    for (const app of apps) {
      const url = `http://127.0.0.1:${relay.opsPort(app)}`;
      screens.push(await (await fetch(`${url}/metrics`)).text());
    }
    expect(await relay.endAll()).toMatchObject({ gateway: 0, 'name-formatter': 0 });
    const passed = [toGateway, toOAuth].flatMap((link) => secretsIn(link.recorded()));
    // A pair of the install, another of each refresh, and the application's token.
    expect(new Set(passed).size).toBeGreaterThanOrEqual(5);
    const code = new URL(portal.webhookUrl).pathname.split('/').findLast((part) => part !== '') ?? '';
    const secrets = [...new Set([...passed, ...relay.secrets, planted])].filter(
      (secret) => secret.length >= 8,
    );

    const log = relay.log();
    expect(log).toContain('portal installed');
    expect(new Set(collector.spans.map(({ kind }) => kind))).toEqual(
      new Set(['server', 'producer', 'consumer', 'client']),
    );
    expect(collector.spansWith({ 'error.type': 'ACCESS_DENIED' })).not.toEqual([]);
    const written: Record<string, string> = {
      log,
      screens: screens.join('\n'),
      database: await dump(relay.env['DATABASE_URL'] ?? ''),
      files: filesIn(relay.env['DATA_DIR'] ?? ''),
      traces: collector.bodies.join('\n'),
    };
    for (const [where, text] of Object.entries(written)) {
      const found = secrets.filter((secret) => spellings(secret).some((spelling) => text.includes(spelling)));
      expect({ where, found }).toEqual({ where, found: [] });
    }
    for (const text of [log, written['traces']]) expect(text).not.toMatch(new RegExp(`/rest/+\\d+/+${code}`));
  }, 60_000);
});

/** Tokens and keys by their names, in forms and in JSON. */
function secretsIn(traffic: string): string[] {
  const named =
    /(?:access_token|refresh_token|application_token|client_secret)(?:%5D|\])?"?[=:]\s*"?([\w.%-]+)/g;
  return [...traffic.matchAll(named)]
    .flatMap(([, secret]) => secret ?? [])
    .filter((secret) => secret !== planted);
}

function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  // Without the last characters, which depend on what follows.
  const base64 = bytes.toString('base64').replace(/.{0,3}=*$/, '');
  return [secret, encodeURIComponent(secret), bytes.toString('hex'), base64];
}

/** Every row of ours, as a thief of the database would read it. */
async function dump(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ table: string }>(
      `SELECT format('%I.%I', schemaname, tablename) AS "table" FROM pg_tables
       WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
    );
    const texts: string[] = [];
    for (const { table } of rows) {
      const found = await client.query<{ row: string }>(`SELECT t::text AS row FROM ${table} t`);
      texts.push(...found.rows.map(({ row }) => row));
    }
    return texts.join('\n');
  } finally {
    await client.end();
  }
}

function filesIn(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
    .join('\n');
}
