import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { hasBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { startRelay, type BusKind, type Relay } from '../support/relay.js';
import { contactTypeId, type SimulatedPortal } from '../support/simulated-portal.js';

/** Real: every app as a process, PostgreSQL, RabbitMQ. Simulated: Bitrix24. */
describe.each<BusKind>(hasBroker ? ['RabbitMQ', 'PostgreSQL'] : ['PostgreSQL'])(
  'contact names on %s',
  (bus) => {
    let relay: Relay;
    let portal: SimulatedPortal;

    beforeAll(async () => {
      relay = await startRelay(bus, ['name-formatter'], {
        apart: [['portal-simulator'], ['gateway'], ['control-plane'], ['name-formatter']],
      });
      portal = await relay.portal('acme');
      const { status } = await portal.install(`${relay.gatewayUrl}/b24/install`);
      expect(status).toBe(200);
      await eventually(async () => {
        expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toEqual([
          'ONAPPTEST',
          'ONAPPUNINSTALL',
          'ONAPPUPDATE',
          'ONCRMCONTACTADD',
          'ONCRMCONTACTUPDATE',
        ]);
      });
    }, 240_000);
    afterAll(() => relay?.stop(), 120_000);

    /** Nothing on its way any more: all events are answered, and all that were accepted are handled. */
    async function untilIdle(): Promise<void> {
      await eventually(async () => {
        const { events } = await portal.statistics();
        expect(events.pending).toBe(0);
        const lifecycle = Object.entries(events.names).filter(([name]) => name.startsWith('ONAPP'));
        const toConsumers = events.sent - lifecycle.reduce((sum, [, count]) => sum + count, 0);
        expect(await relay.metric('name-formatter', 'relay_bus_settled_total')).toBe(toConsumers);
      });
    }

    it('corrects a badly written name within 5 s, with one update, and stops at its own echo', async () => {
      const { id } = await portal.add(contactTypeId, { name: '  jOHN ', secondName: '', lastName: "o'NEIL" });
      await eventually(
        async () => {
          expect(await portal.item(contactTypeId, id)).toMatchObject({ name: 'John', lastName: "O'Neil" });
        },
        { timeoutMs: 5_000 },
      );
      await untilIdle();
      const { calls, events } = await portal.statistics();
      expect(calls['crm.item.update']).toBe(1);
      expect(events.names).toMatchObject({ ONCRMCONTACTADD: 1, ONCRMCONTACTUPDATE: 1 });
    });

    it('leaves a well written name alone', async () => {
      const before = await portal.statistics();
      await portal.add(contactTypeId, { name: 'Ludwig', secondName: '', lastName: 'van Beethoven' });
      await portal.add(contactTypeId, { name: 'JJ', secondName: '', lastName: 'McDonald' });
      await untilIdle();
      const { calls, events } = await portal.statistics();
      expect(events.names['ONCRMCONTACTADD']).toBe((before.events.names['ONCRMCONTACTADD'] ?? 0) + 2);
      expect(calls['crm.item.update']).toBe(before.calls['crm.item.update']);
    });

    it('goes on with an expired access token after one refresh', async () => {
      const before = await portal.statistics();
      await portal.expireTokens();
      const { id } = await portal.add(contactTypeId, {
        name: 'мар’яна',
        secondName: '',
        lastName: 'КОВАЛЬ-БОНДАР',
      });
      await eventually(async () => {
        expect(await portal.item(contactTypeId, id)).toMatchObject({
          name: 'Мар’яна',
          lastName: 'Коваль-Бондар',
        });
      });
      expect((await portal.statistics()).renewals).toBe(before.renewals + 1);
    });

    it('takes up where it stopped: contacts added while the consumer was down are corrected after', async () => {
      await relay.end('name-formatter');
      const added = await Promise.all(
        ['ada LOVELACE', 'grace HOPPER', 'alan TURING'].map((full) => {
          const [name = '', lastName = ''] = full.split(' ');
          return portal.add(contactTypeId, { name, secondName: '', lastName });
        }),
      );
      await eventually(async () => expect((await portal.statistics()).events.pending).toBe(0));
      await relay.start('name-formatter');
      await eventually(async () => {
        const names = await Promise.all(added.map(({ id }) => portal.item(contactTypeId, id)));
        expect(names.map(({ name, lastName }) => `${String(name)} ${String(lastName)}`)).toEqual([
          'Ada Lovelace',
          'Grace Hopper',
          'Alan Turing',
        ]);
      });
    }, 240_000);

    it.each(['event', 'callback'] as const)(
      'writes names as the portal’s language does, told by the %s',
      async (kind) => {
        const turkish = await relay.portal(`istanbul-${kind}`, { language: 'tr' });
        await turkish.install(`${relay.gatewayUrl}/b24/install`, kind);
        await eventually(async () => {
          expect(await turkish.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
        });
        await eventually(async () => {
          const { id } = await turkish.add(contactTypeId, {
            name: 'ışık',
            secondName: '',
            lastName: 'İPEKÇİ',
          });
          await eventually(
            async () => {
              expect(await turkish.item(contactTypeId, id)).toMatchObject({
                name: 'Işık',
                lastName: 'İpekçi',
              });
            },
            { timeoutMs: 5_000 },
          );
        });
      },
    );

    it('goes on after the application was updated', async () => {
      await portal.updateApplication();
      await eventually(async () => {
        expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
      });
      const { id } = await portal.add(contactTypeId, { name: 'josé', secondName: '', lastName: 'GARCÍA' });
      await eventually(async () => {
        expect(await portal.item(contactTypeId, id)).toMatchObject({ name: 'José', lastName: 'García' });
      });
    });

    it('ends every process in good order, and no log holds a secret', async () => {
      const { application_token, access_token, refresh_token } = await portal.install(
        `${relay.gatewayUrl}/b24/install`,
      );
      await eventually(async () => {
        expect(await portal.eventsBoundTo(`${relay.gatewayUrl}/b24/events`)).toContain('ONCRMCONTACTADD');
      });
      expect(await relay.endAll()).toEqual({
        'name-formatter': 0,
        'control-plane': 0,
        gateway: 0,
        'portal-simulator': 0,
      });
      const log = relay.log();
      expect(log).toContain('portal installed');
      for (const secret of [application_token, access_token, refresh_token, ...relay.secrets]) {
        expect(log.includes(secret)).toBe(false);
      }
    }, 240_000);
  },
);
