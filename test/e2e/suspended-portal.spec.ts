import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { askGateway, command, listedPortal } from '../support/operator.js';
import { startRelay, type Relay } from '../support/relay.js';

const contactTypeId = 3;

/**
 * Real: gateway, name-formatter, command line, database. Simulated: Bitrix24, with the statuses and codes by which it rejects
 * every call of a portal.
 */
describe('a portal that rejects every call', () => {
  let relay: Relay;
  beforeAll(async () => {
    relay = await startRelay('PostgreSQL', ['name-formatter']);
  }, 240_000);
  afterAll(() => relay.stop());

  it.each([
    ['overload', 'OVERLOAD_LIMIT'],
    ['denied', 'ACCESS_DENIED'],
    ['deleted', 'PORTAL_DELETED'],
    ['payment', 'PAYMENT_REQUIRED'],
  ])(
    'for %s is suspended for %s, nothing of it is given up, and it goes on when resumed',
    async (why, code) => {
      const portal = await relay.portal(`suspended-${why}`);
      await portal.install(`${relay.gatewayUrl}/b24/install`);
      await eventually(async () => {
        expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
      });
      await portal.suspend(why);
      await portal.add(contactTypeId, { name: 'jOHN', secondName: '', lastName: "o'NEIL" });
      // A portal that is gone sends no events: somebody has to ask it.
      if (why === 'deleted') {
        await Promise.allSettled([askGateway(relay, 'POST', `/portals/${portal.memberId}/test`)]);
      }
      await eventually(async () => {
        expect(await listedPortal(relay, portal.memberId)).toMatchObject({
          state: 'suspended',
          suspendedReason: code,
        });
      });
      expect(await relay.metric('name-formatter', 'relay_bus_dead_total')).toBe(0);

      await portal.suspend(null);
      expect((await command(relay, ['portals', 'resume', portal.memberId])).code).toBe(0);
      const { id } = await portal.add(contactTypeId, { name: 'aNNA', secondName: '', lastName: 'KOVAL' });
      await eventually(async () => {
        expect(await portal.item(contactTypeId, id)).toMatchObject({ name: 'Anna', lastName: 'Koval' });
      });
    },
  );
});
