import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { command } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';

/** Bitrix24 shows the application's keys only after it has posted the install: so the install comes before they are known. */
describe('the first install of an application', () => {
  let relay: Relay;
  let portal: SimulatedPortal;

  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', []);
    portal = await relay.portal('acme');
  }, 240_000);
  afterAll(() => relay?.stop(), 120_000);

  async function restart(changes: Record<string, string> = {}): Promise<void> {
    await relay.restart(changes);
  }

  it.each([
    ['without keys', { B24_CLIENT_ID: '', B24_CLIENT_SECRET: '' }],
    ['with wrong keys', { B24_CLIENT_SECRET: 'mistyped' }],
  ])('is kept by a gateway %s', async (_what, changes) => {
    await restart(changes);
    expect((await portal.install(`${relay.gatewayUrl}/b24/install`)).status).toBe(503);
    expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toEqual([]);
  });

  it('is finished when the gateway has been started with the right keys', async () => {
    await restart();
    await eventually(
      async () => {
        expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONAPPTEST');
      },
      { timeoutMs: 60_000 },
    );
  }, 120_000);

  it('can be tried out from the command line', async () => {
    expect(await command(relay, ['portals', 'test', portal.memberId])).toEqual({
      code: 0,
      screen: expect.stringMatching(/test event came after \d+ ms/),
    });
  });
});
