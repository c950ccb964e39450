import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { freePort } from '../support/broker.js';
import { CuttableLink } from '../support/cuttable-link.js';
import { eventually } from '../support/eventually.js';
import { AppProcess } from '../support/processes.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

/** What cannot be checked or stored is 503: never 401, which would say that it was forged, and no proof is used up. */
describe('a gateway whose database is away', () => {
  let relay: Relay;
  let link: CuttableLink;
  let gateway: AppProcess;
  let url: string;
  let opsUrl: string;
  let portal: SimulatedPortal;
  let token: string;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', []);
    const database = new URL(relay.env['DATABASE_URL'] ?? '');
    link = await CuttableLink.to(Number(database.port || '5432'), database.hostname);
    database.host = `127.0.0.1:${link.port}`;
    const [port, opsPort] = [await freePort(), await freePort()];
    url = `http://127.0.0.1:${port}`;
    opsUrl = `http://127.0.0.1:${opsPort}`;
    gateway = AppProcess.start('gateway', 'apps/gateway/src/main.js', {
      ...relay.env,
      DATABASE_URL: database.href,
      PORT: String(port),
      OPS_PORT: String(opsPort),
      PUBLIC_URL: url,
    });
    await gateway.ready(`${opsUrl}/health/ready`);
    portal = await relay.portal('acme');
    ({ application_token: token } = await portal.install(`${url}/b24/install`));
  }, 240_000);
  beforeEach(async () => {
    await link.mend();
    await eventually(async () => expect(await send('ONCRMCONTACTADD')).toBe(200));
  });
  afterAll(async () => {
    await link.mend();
    await gateway.stop();
    await relay.stop();
    await link.cut();
  }, 120_000);

  async function ops(path: string): Promise<string> {
    return (await fetch(`${opsUrl}${path}`)).text();
  }

  async function post(path: string, fields: Record<string, string>): Promise<number> {
    const { status } = await fetch(`${url}${path}`, { method: 'POST', body: new URLSearchParams(fields) });
    return status;
  }

  function send(
    event: string,
    { memberId = portal.memberId, applicationToken = token } = {},
  ): Promise<number> {
    return post('/b24/events', {
      event,
      ts: '1724697689',
      'data[FIELDS][ID]': '1',
      'auth[domain]': portal.domain,
      'auth[member_id]': memberId,
      'auth[application_token]': applicationToken,
    });
  }

  it('keeps an event of a portal it knows in its journal, and stores it afterwards', async () => {
    await link.cut();
    expect(await send('ONCRMCONTACTADD')).toBe(200);
    expect(await ops('/health/ready')).toContain('degraded');
    expect(await ops('/metrics')).toMatch(/^relay_journal_events [1-9]/m);
    await link.mend();
    await eventually(async () => expect(await ops('/metrics')).toMatch(/^relay_journal_events 0$/m));
    await eventually(async () => expect(await ops('/health/ready')).toContain('"ready"'));
  });

  it.each(['ONAPPUPDATE', 'ONAPPUNINSTALL'])('answers 503 to %s of a portal it knows', async (event) => {
    await link.cut();
    expect(await send(event)).toBe(503);
  });

  it('looks after the events of a portal whose update it could not note', async () => {
    const before = (await portal.statistics()).calls['event.get'] ?? 0;
    await link.cut();
    expect(await send('ONAPPUPDATE')).toBe(503);
    await link.mend();
    await eventually(
      async () => expect((await portal.statistics()).calls['event.get']).toBeGreaterThan(before),
      { timeoutMs: 60_000 },
    );
  }, 120_000);

  it('answers 503 to a portal that it does not know', async () => {
    await link.cut();
    expect(await send('ONCRMCONTACTADD', { memberId: randomBytes(16).toString('hex') })).toBe(503);
  });

  it('answers 503 to a token that it does not know: it may be new', async () => {
    await link.cut();
    await eventually(async () => {
      expect(await send('ONCRMCONTACTADD', { applicationToken: randomBytes(16).toString('hex') })).toBe(503);
    });
  });

  it('does not use up the proof of an install that it could not store', async () => {
    const { application_token, refresh_token, access_token } = await portal.install();
    const claim = {
      event: 'ONAPPINSTALL',
      ts: '1724697689',
      'data[VERSION]': '1',
      'auth[access_token]': access_token,
      'auth[refresh_token]': refresh_token,
      'auth[domain]': portal.domain,
      'auth[member_id]': portal.memberId,
      'auth[application_token]': application_token,
    };
    await link.cut();
    expect(await post('/b24/install', claim)).toBe(503);
    expect((await portal.statistics()).renewals).toBe(1);
    await link.mend();
    await eventually(async () => expect(await post('/b24/install', claim)).toBe(200));
    await eventually(async () => {
      expect(await send('ONCRMCONTACTADD', { applicationToken: application_token })).toBe(200);
    });
    token = application_token;
  }, 120_000);
});
