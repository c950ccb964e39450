import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { eventually } from '../support/eventually.js';
import { InstalledApplication } from '../support/installed-application.js';
import { command, listedPortal } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

/** Real: gateway, name-formatter, PostgreSQL, command line. Simulated: Bitrix24. */
describe('the settings of a portal', () => {
  let relay: Relay;
  let portal: SimulatedPortal;
  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', ['name-formatter', 'smart-process-sync']);
    portal = await relay.portal('acme');
    const app = new InstalledApplication(relay, portal);
    expect((await app.install('event', app.installUrl)).status).toBe(200);
  }, 240_000);
  afterAll(() => relay?.stop(), 30_000);

  const set = (consumer: string, settings: string) =>
    command(relay, ['portals', 'set', portal.memberId, consumer, settings]);

  it.each([
    ['name-formatter', '{"particels":"capital"}', '"particels" (did you mean particles?)'],
    [
      'smart-process-sync',
      '{"types":{"inclde":[147]}}',
      'types have no key "inclde" (did you mean include?)',
    ],
    ['smart-proces-sync', '{}', 'did you mean smart-process-sync?'],
    ['name-formatter', '{"particles":"loud"}', 'particles: Invalid option'],
  ])('are rejected where %s does not take %s', async (consumer, settings, reason) => {
    const { code, screen } = await set(consumer, settings);
    expect([code, screen]).toEqual([2, expect.stringContaining(reason)]);
    expect((await listedPortal(relay, portal.memberId)).settings).toEqual({});
  });

  it.each([
    ['NUL', JSON.stringify({ language: 'a\0' })],
    ['half a character', '{"language":"\\ud800"}'],
    ['200,000 brackets', `{"language":${'['.repeat(200_000)}${']'.repeat(200_000)}}`],
    ['a key that every object has', '{"constructor":{"prototype":{}}}'],
    ['too many letters', JSON.stringify({ language: 'x'.repeat(100_000) })],
  ])('with %s are a bad request, not a failure of ours', async (_, body) => {
    const path = `/ops/api/portals/${portal.memberId}/settings/name-formatter`;
    const answer = await fetch(`http://127.0.0.1:${relay.opsPort('control-plane')}${path}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${relay.env['OPS_TOKEN']}`, 'content-type': 'application/json' },
      body,
    });
    expect(answer.status).toBe(400);
  });

  it('that were stored before and are bad stop nothing: the defaults hold, and the log says so', async () => {
    const database = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
    await database.connect();
    await database.query(`UPDATE portals.portals SET settings = '{"name-formatter": {"particels": 1}}'`);
    await database.end();
    await eventually(async () =>
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD'),
    );
    const { id } = await portal.add(3, { name: 'jOHN', lastName: "o'NEIL" });
    await eventually(async () =>
      expect(await portal.item(3, id)).toMatchObject({ name: 'John', lastName: "O'Neil" }),
    );
    expect(relay.log()).toContain('its defaults apply');
  });
});
