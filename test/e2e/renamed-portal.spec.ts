import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { command, listedPortal, testEventComes } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import { eventually } from '../support/eventually.js';

const contactTypeId = 3;

/** Real: gateway, name-formatter, command line, database. Simulated: Bitrix24, which answers 302 under the former name. */
describe('a portal that was renamed', () => {
  let relay: Relay;
  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', ['name-formatter']);
  }, 240_000);
  afterAll(() => relay.stop());

  async function installed(name: string) {
    const portal = await relay.portal(name);
    await portal.install(`${relay.gatewayUrl}/b24/install`);
    await eventually(async () => {
      expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
    });
    expect((await listedPortal(relay, portal.memberId)).domain).toMatch(new RegExp(`^${name}\\.`));
    return portal;
  }

  it('goes on under its new name, and is shown by it', async () => {
    const portal = await installed('former');
    await portal.rename('present');
    const { id } = await portal.add(contactTypeId, { name: 'jOHN', secondName: '', lastName: "o'NEIL" });
    await eventually(async () => {
      expect(await portal.item(contactTypeId, id)).toMatchObject({ name: 'John', lastName: "O'Neil" });
    });
    expect((await listedPortal(relay, portal.memberId)).domain).toMatch(/^present\./);
    const { screen } = await command(relay, ['portals']);
    expect(screen).toContain('present.');
    expect(screen).not.toContain('former.');
  });

  it('is shown by it once an operator tests it, though nothing happened there', async () => {
    const portal = await installed('quiet');
    await portal.rename('loud');
    expect(await testEventComes(relay, portal.memberId)).toBe(true);
    expect((await listedPortal(relay, portal.memberId)).domain).toMatch(/^loud\./);
  });
});
