import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { AppProcess } from '../support/processes.js';
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
    const opsPort = relay.opsPort('gateway');
    const options = { args, input };
    const run = AppProcess.start(
      'relay',
      'apps/relay/src/main.js',
      { ...relay.env, OPS_PORT: opsPort, ...env },
      options,
    );
    return { code: await run.end(), screen: run.log() };
  }

  it('is refused before it is registered', async () => {
    await portal.add(contactTypeId, { name: 'too', lastName: 'EARLY' });
    await eventually(async () => expect((await portal.statistics()).events.answers).toEqual({ '401': 1 }));
  });

  it('is registered on the command line, and by its first event', async () => {
    const { code, screen } = await command(['portals', 'webhook'], `${portal.webhookUrl}\n${token}\n`);
    expect([code, screen]).toEqual([0, expect.stringContaining('is registered with its first event')]);
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
      await portal.change(contactTypeId, id, { name: 'aDA' });
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

  it('says in one line what is wrong', async () => {
    const bad = await command(['portals', 'webhook'], 'http://10.0.0.1/rest/1/secret-in-url/\nx\n');
    expect([bad.code, bad.screen]).toEqual([1, 'relay: webhookUrl: not-https\n']);
    const method = 'https://acme.example/rest/1/secret-in-url/profile.json\nx\n';
    expect((await command(['portals', 'webhook'], method)).screen).toMatch(
      /^relay: ✖ must be https:\/\/<portal>\/rest\/<user>\/<secret>\/, without a method\n/,
    );
    const token_ = await command(['portals'], '', { OPS_TOKEN: 'x'.repeat(16) });
    expect([token_.code, token_.screen]).toEqual([1, 'relay: OPS_TOKEN is wrong or missing\n']);
    const nobody = await command(['portals'], '', { OPS_PORT: '1' });
    expect([nobody.code, nobody.screen]).toEqual([
      1,
      expect.stringMatching(/^relay: No gateway answers at .*\n$/),
    ]);
    expect(await command(['nonsense'])).toMatchObject({
      code: 1,
      screen: expect.stringContaining('no such command'),
    });
  });

  it('leaves no secret in any log', async () => {
    const all = [token, ...secrets, new URL(portal.webhookUrl).pathname, ...relay.secrets];
    for (const secret of all) expect(relay.log().includes(secret)).toBe(false);
  });
});
