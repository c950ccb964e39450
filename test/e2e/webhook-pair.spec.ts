import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { eventOf, postForm } from '../support/installed-application.js';
import { listedPortal } from '../support/operator.js';
import { control } from '../support/simulator-control.js';
import { runCommand } from '../support/command-host.js';
import { startRelay, type Relay } from '../support/relay.js';
import { contactTypeId, type SimulatedPortal } from '../support/simulated-portal.js';

/** A portal without an application: an incoming webhook to call, an outgoing one that sends events. */
describe('a pair of webhooks', () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  let token: string;
  const secrets: string[] = [];

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', ['name-formatter']);
    portal = await relay.portal('solo');
    token = await portal.addOutgoingWebhook('ONCRMCONTACTADD', `${relay.gatewayUrl}/b24/events`);
  }, 60_000);
  afterAll(() => relay?.stop(), 30_000);

  async function command(args: string[], input = '', env: Record<string, string> = {}) {
    return runCommand(args, {
      env: { ...relay.env, OPS_PORT: relay.opsPort('control-plane'), ...env },
      input,
    });
  }

  it('is rejected before it is registered', async () => {
    await portal.add(contactTypeId, { name: 'too', lastName: 'EARLY' });
    await eventually(async () => expect((await portal.statistics()).events.answers).toEqual({ '401': 1 }));
  });

  it('is rejected where the portal does not know the incoming one', async () => {
    const wrong = portal.webhookUrl.replace(/[^/]+\/$/, 'another/');
    const { code, screen } = await command(['portals', 'webhook'], `${wrong}\n${token}\n`);
    expect([code, screen]).toEqual([
      2,
      'relay: webhookUrl: the portal does not know this webhook (INVALID_CREDENTIALS); copy its address once more\n',
    ]);
    const away = `http://127.0.0.1:${new URL(relay.outside.url).port}/rest/1/secret/`;
    await relay.outside.cut();
    const unheard = await command(['portals', 'webhook'], `${away}\n${token}\n`);
    await relay.outside.mend();
    expect([unheard.code, unheard.screen]).toEqual([1, expect.stringMatching(/did not answer as it should/)]);
    expect(JSON.parse((await command(['portals', '--json'])).screen)).toEqual([]);
  });

  it('is registered on the command line, and by its first event', async () => {
    const { code, screen } = await command(['portals', 'webhook'], `${portal.webhookUrl}\n${token}\n`);
    expect([code, screen]).toEqual([0, expect.stringContaining('is registered with its first event')]);
    // Nobody can bind these for it.
    for (const event of ['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE']) expect(screen).toContain(`  ${event}\n`);
    expect((await command(['portals'])).screen).toMatch(
      /^not known yet {2}unused-pair {2}webhook {2}127\.0\.0\.1:\d+ {2}waits since /m,
    );
    await eventually(async () => {
      await portal.add(contactTypeId, { name: 'another', lastName: 'ATTEMPT' });
      expect((await portal.statistics()).events.answers['200']).toBeGreaterThan(0);
    });
  });

  it("has its contacts' names corrected from then on", async () => {
    const { id } = await portal.add(contactTypeId, { name: 'jOHN', lastName: "o'NEIL" });
    await eventually(async () => {
      expect(await portal.item(contactTypeId, id)).toMatchObject({ name: 'John', lastName: "O'Neil" });
    });
  });

  it('can be one of several of the same portal', async () => {
    const another = await portal.addOutgoingWebhook('ONCRMCONTACTUPDATE', `${relay.gatewayUrl}/b24/events`);
    secrets.push(another);
    const { id } = await portal.add(contactTypeId, { name: 'Ada', lastName: 'Lovelace' });
    await portal.change(contactTypeId, id, { name: 'ada' });
    await eventually(async () => {
      expect((await portal.statistics()).events.answers['401']).toBeGreaterThanOrEqual(1);
    });
    const { code } = await command(['portals', 'webhook'], `${portal.webhookUrl}\n${another}\n`);
    expect(code).toBe(0);
    // The first event of the second registers it; the first one's are believed as before.
    await eventually(async () => {
      await portal.change(contactTypeId, id, { lastName: 'Lovelace' });
      expect(await portal.item(contactTypeId, id)).toMatchObject({ name: 'Ada' });
    });
    const { id: next } = await portal.add(contactTypeId, { name: 'gRACE', lastName: 'hOPPER' });
    await eventually(async () => {
      expect(await portal.item(contactTypeId, next)).toMatchObject({ name: 'Grace', lastName: 'Hopper' });
    });
    const { screen } = await command(['portals', '--json']);
    expect(JSON.parse(screen)).toHaveLength(1);
  });

  it('is listed, and can be set apart', async () => {
    const { screen } = await command(['portals', '--json']);
    expect(JSON.parse(screen)).toMatchObject([
      { memberId: portal.memberId, kind: 'webhook', state: 'installed' },
    ]);
    const set = await command(['portals', 'set', portal.memberId, 'name-formatter', '{}']);
    expect([set.code, set.screen]).toEqual([0, expect.stringContaining('in force')]);
    expect(await command(['portals', 'set', 'nobody', 'name-formatter', '{}'])).toMatchObject({ code: 1 });
  });

  it('is tried out by a change that somebody makes by hand', async () => {
    const testing = command(['portals', 'test', portal.memberId]);
    let isOver = false;
    void testing.finally(() => (isOver = true));
    await eventually(async () => {
      if (!isOver) await portal.add(contactTypeId, { name: 'Ada', lastName: 'Lovelace' });
      expect(isOver).toBe(true);
    });
    const { code, screen } = await testing;
    expect([code, screen]).toEqual([0, expect.stringMatching(/An event of the portal came after \d+ ms/)]);
    expect(screen).toContain('Change something there by hand');
  });

  it('that the portal has forgotten is asked for, until another one is registered', async () => {
    const simulator = `http://127.0.0.1:${relay.env['SIMULATOR_PORT']}/_sim/portals`;
    const { memberId, domain } = portal;
    await control('DELETE', `${simulator}/solo`);
    await control('POST', simulator, { name: 'solo', memberId, domain, webhook: 'made-anew' });
    const event = eventOf(portal, 'ONCRMCONTACTUPDATE', token);
    expect((await postForm(`${relay.gatewayUrl}/b24/events`, event)).status).toBe(200);
    await eventually(async () => {
      expect(await listedPortal(relay, memberId)).toMatchObject({ state: 'needs-webhook' });
    });
    expect((await command(['portals'])).screen).toContain('make another incoming webhook there');
    // Its events are still believed, and held for it.
    expect((await postForm(`${relay.gatewayUrl}/b24/events`, event)).status).toBe(200);

    const next = await portal.addOutgoingWebhook('ONCRMCONTACTADD', `${relay.gatewayUrl}/b24/events`);
    const address = portal.webhookUrl.replace(/[^/]+\/$/, 'made-anew/');
    secrets.push(next);
    expect((await command(['portals', 'webhook'], `${address}\n${next}\n`)).code).toBe(0);
    await eventually(async () => {
      await portal.add(contactTypeId, { name: 'grace', lastName: 'hopper' });
      expect(await listedPortal(relay, memberId)).toMatchObject({ state: 'installed' });
    });
  });

  it('is listed beside the installs that wait for the OAuth server', async () => {
    const pending = await relay.portal('pending');
    await relay.outside.cut();
    expect((await pending.install(`${relay.gatewayUrl}/b24/install`)).status).toBe(503);
    const { screen } = await command(['portals']);
    await relay.outside.mend();
    expect(screen).toMatch(
      new RegExp(`^${pending.memberId} +pending +oauth +- +not confirmed: 1 claim since `, 'm'),
    );
  });

  it('says in one line what is wrong', async () => {
    const bad = await command(['portals', 'webhook'], 'http://10.0.0.1/rest/1/secret-in-url/\nx\n');
    expect([bad.code, bad.screen]).toEqual([2, 'relay: webhookUrl: not-https\n']);
    const method = 'https://acme.example/rest/1/secret-in-url/profile.json\nx\n';
    expect((await command(['portals', 'webhook'], method)).screen).toMatch(
      /^relay: webhookUrl must be https:\/\/<portal>\/rest\/<user>\/<secret>\/, without a method\n$/,
    );
    const token_ = await command(['portals'], '', { OPS_TOKEN: 'x'.repeat(16) });
    expect([token_.code, token_.screen]).toEqual([1, 'relay: OPS_TOKEN is wrong or missing\n']);
    const nobody = await command(['portals'], '', { OPS_PORT: '1' });
    expect([nobody.code, nobody.screen]).toEqual([
      1,
      expect.stringMatching(/^relay: No control plane answers at .*\n$/),
    ]);
    expect(await command(['nonsense'])).toMatchObject({
      code: 2,
      screen: expect.stringContaining("unknown command 'nonsense'"),
    });
  });

  it('leaves no secret in any log', async () => {
    const all = [token, ...secrets, new URL(portal.webhookUrl).pathname, ...relay.secrets];
    for (const secret of all) expect(relay.log().includes(secret)).toBe(false);
  });
});
