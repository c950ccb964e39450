import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { eventually } from '../support/eventually.js';
import { eventOf, InstalledApplication, postForm } from '../support/installed-application.js';
import { addWebhookPair, listedPortal } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

/**
 * Whoever knows the token of a pair of webhooks, an employee of the portal where it was made, may name any `member_id`
 * with it. Real: gateway, PostgreSQL, the command line's API. Simulated: Bitrix24.
 */
describe('a pair of webhooks that waits for its portal', () => {
  let relay: Relay;
  let database: pg.Client;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', []);
    database = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
    await database.connect();
  }, 60_000);
  afterAll(async () => {
    await database?.end();
    await relay?.stop();
  }, 30_000);

  /** A pair of this portal's own webhooks. @returns the token */
  async function pairOf(portal: SimulatedPortal, memberId?: string): Promise<string> {
    const applicationToken = randomBytes(16).toString('hex');
    await addWebhookPair(relay, { webhookUrl: portal.webhookUrl, applicationToken, memberId });
    return applicationToken;
  }

  async function send(
    portal: SimulatedPortal,
    token: string,
    more: Record<string, string> = {},
  ): Promise<number> {
    const event = eventOf(portal, 'ONCRMCONTACTUPDATE', token, more);
    return (await postForm(`${relay.gatewayUrl}/b24/events`, event)).status;
  }

  /** A gateway hears of new pairs within a second. */
  async function isClaimed(portal: SimulatedPortal, token: string): Promise<void> {
    await eventually(async () => expect(await send(portal, token)).toBe(200));
  }

  /** A pair of the portal's own is claimed meanwhile: the gateway has read what waits, and still rejects the other. */
  async function isRejected(portal: SimulatedPortal, token: string): Promise<void> {
    const witness = await relay.portal(`witness-${randomBytes(4).toString('hex')}`);
    await isClaimed(witness, await pairOf(witness));
    expect(await send(portal, token)).toBe(401);
  }

  async function stored({ memberId }: SimulatedPortal): Promise<unknown> {
    const { rows } = await database.query(
      `SELECT p.*, c.*, ARRAY(SELECT encode(hash, 'hex') FROM portals.application_tokens t
         WHERE t.member_id = p.member_id ORDER BY 1) AS tokens
       FROM portals.portals p LEFT JOIN portals.credentials c USING (member_id) WHERE member_id = $1`,
      [memberId],
    );
    return rows;
  }

  async function waitingHosts(): Promise<string[]> {
    const { rows } = await database.query<{ host: string }>(
      'SELECT sealed_url, host FROM portals.webhook_pairs',
    );
    return rows.map(({ host }) => host);
  }

  it('is rejected at a portal that the application is installed at, and stays', async () => {
    const [victim, attacker] = [await relay.portal('victim-oauth'), await relay.portal('attacker-oauth')];
    await victim.install(`${relay.gatewayUrl}/b24/install`);
    const before = await stored(victim);
    const token = await pairOf(attacker);
    await isRejected(victim, token);
    expect(await stored(victim)).toEqual(before);
    expect(await waitingHosts()).toHaveLength(1);
    await isClaimed(attacker, token);
    expect(await waitingHosts()).toEqual([]);
  });

  it('is rejected at a portal that another pair has made, and stays', async () => {
    const [victim, attacker] = [await relay.portal('victim-pair'), await relay.portal('attacker-pair')];
    await isClaimed(victim, await pairOf(victim));
    const before = await stored(victim);
    const token = await pairOf(attacker);
    await isRejected(victim, token);
    expect(await stored(victim)).toEqual(before);
    await isClaimed(attacker, token);
  });

  it('makes one portal, however many are named at once', async () => {
    const portals: SimulatedPortal[] = [];
    for (let number = 0; number < 10; number += 1) portals.push(await relay.portal(`many-${number}`));
    const [owner] = portals;
    if (!owner) throw new Error('no portal was made');
    const token = await pairOf(owner);
    await eventually(async () => {
      const answers = await Promise.all(portals.map((portal) => send(portal, token)));
      expect(answers.filter((status) => status === 200)).toHaveLength(1);
    });
    const { rows } = await database.query('SELECT FROM portals.portals WHERE member_id = ANY($1)', [
      portals.map(({ memberId }) => memberId),
    ]);
    expect(rows).toHaveLength(1);
  });

  it('gives its portal the domain of its own address, whatever the event says', async () => {
    const portal = await relay.portal('modest');
    const token = await pairOf(portal);
    await eventually(async () =>
      expect(await send(portal, token, { domain: 'acme.bitrix24.com' })).toBe(200),
    );
    expect(await listedPortal(relay, portal.memberId)).toMatchObject({
      domain: `modest.${new URL(portal.webhookUrl).host}`,
    });
  });

  it('is believed no longer when the application is installed by a portal of another host', async () => {
    const [victim, attacker] = [await relay.portal('late-victim'), await relay.portal('late-attacker')];
    const token = await pairOf(attacker);
    await isClaimed(victim, token);
    const { status } = await victim.install(`${relay.gatewayUrl}/b24/install`);
    expect(status).toBe(200);
    expect(await send(victim, token)).toBe(401);
    expect(await listedPortal(relay, victim.memberId)).toMatchObject({
      kind: 'oauth',
      domain: `late-victim.${new URL(relay.outside.url).host}`,
    });
  });

  it('goes on being believed when the application is installed at its own portal', async () => {
    const portal = await relay.portal('both');
    const token = await pairOf(portal);
    await isClaimed(portal, token);
    const { status } = await portal.install(`${relay.gatewayUrl}/b24/install`);
    expect([status, await send(portal, token)]).toEqual([200, 200]);
  });

  it('is claimed by the portal that the operator named, and by no other', async () => {
    const [owner, other] = [await relay.portal('named'), await relay.portal('not-named')];
    const token = await pairOf(owner, owner.memberId);
    await isRejected(other, token);
    await isClaimed(owner, token);
    const app = new InstalledApplication(relay, other);
    expect((await postForm(app.eventsUrl, eventOf(other, 'ONCRMCONTACTADD', token))).status).toBe(401);
  });
});
