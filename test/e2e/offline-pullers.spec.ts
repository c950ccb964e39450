import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { deferred } from '@relay/platform';
import pg from 'pg';
import { z } from 'zod';
import { hasBroker } from '../support/broker.js';
import { CuttableLink } from '../support/cuttable-link.js';
import { eventually } from '../support/eventually.js';
import { askGateway } from '../support/operator.js';
import type { AppProcess } from '../support/processes.js';
import { startRelay, type Relay } from '../support/relay.js';
import type { SimulatedPortal } from '../support/simulated-portal.js';
import { control } from '../support/simulator-control.js';
import { TamperingFront } from '../support/tampering-front.js';

const contact = 3;
const offlineQueue = z.object({
  handlers: z.array(z.object({ event: z.string() })),
  records: z.array(z.object({ event: z.string() })),
});

/** Requests of a reader, alone or in a batch. */
const CALLS = {
  reserve: /event\.offline\.get[^]*clear"?[=:]0/,
  take: /event\.offline\.get[^]*clear"?[=:]1/,
  list: /event\.offline\.list/,
  clear: /event\.offline\.clear/,
} as const;

/** Where a reader is stopped: before Bitrix24 gets a request, before it gets the answer, or when it publishes. */
interface Point {
  call: keyof typeof CALLS;
  moment: 'request' | 'answer' | 'publish';
}
/** Between each pair of the calls of a poll, by the plan. */
const POINTS: Readonly<Record<'Y' | 'N', readonly Point[]>> = {
  Y: [
    { call: 'reserve', moment: 'request' },
    { call: 'reserve', moment: 'answer' },
    { call: 'reserve', moment: 'publish' },
    { call: 'clear', moment: 'request' },
    { call: 'clear', moment: 'answer' },
  ],
  N: [
    { call: 'list', moment: 'request' },
    { call: 'list', moment: 'answer' },
    { call: 'take', moment: 'publish' },
    { call: 'take', moment: 'request' },
    { call: 'take', moment: 'answer' },
  ],
};
const stops = POINTS.Y.map((point, at) => ({ at, name: `${point.moment} of ${point.call}`, point }))
  // The bus in PostgreSQL is the connection that also has what is stored.
  .filter(({ point }) => hasBroker || point.moment !== 'publish')
  .map(({ at, name }) => [`${name}, ${POINTS.N[at]?.moment} of ${POINTS.N[at]?.call}`, at] as const);

interface Held {
  portal: string;
  point: Point;
  isReached: boolean;
  release: () => void;
}

async function areHandled(added: ReadonlyMap<SimulatedPortal, number>): Promise<void> {
  await eventually(
    async () => {
      for (const [portal, id] of added) {
        expect([portal.name, (await portal.item(contact, id))['lastName']]).toEqual([
          portal.name,
          'Shevchenko',
        ]);
      }
    },
    { timeoutMs: 90_000 },
  );
}

/** Real: all services; offline-puller as processes of its own. Simulated: Bitrix24, which holds single requests of theirs. */
describe('a reader of offline queues that is stopped between two calls', () => {
  let relay: Relay;
  let front: TamperingFront;
  let database: pg.Client;
  let bus: CuttableLink | undefined;
  let reader: AppProcess;
  const portals = new Map<SimulatedPortal, 'Y' | 'N'>();
  let held: Held[] = [];

  beforeAll(async () => {
    relay = await startRelay(hasBroker ? 'RabbitMQ' : 'PostgreSQL', ['name-formatter']);
    database = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
    await database.connect();
    const broker = relay.env['AMQP_URL'] === undefined ? undefined : new URL(relay.env['AMQP_URL']);
    if (broker) bus = await CuttableLink.to(Number(broker.port), broker.hostname);
    front = await TamperingFront.of(relay, undefined, holdRequest);
    for (const plan of ['Y', 'N'] as const) {
      const portal = await relay.portal(`stopped-${plan.toLowerCase()}`, { rate: 50, burst: 250 });
      portals.set(portal, plan);
      await control('PATCH', controlUrl(portal), { features: { rest_offline_extended: plan } });
      await portal.install(`${relay.gatewayUrl}/b24/install`);
      await askGateway(relay, 'PUT', `/portals/${portal.memberId}/mode`, { mode: 'offline' });
    }
    reader = await startReader();
    await eventually(
      async () => {
        for (const portal of portals.keys()) expect((await queueOf(portal)).handlers).toHaveLength(2);
        expect(
          (await database.query('SELECT FROM offline.visits WHERE visited_at IS NOT NULL')).rowCount,
        ).toBe(2);
      },
      { timeoutMs: 60_000 },
    );
  }, 240_000);
  afterAll(async () => {
    for (const one of held) one.release();
    await database?.end();
    await front?.close();
    await relay?.stop();
    await bus?.cut();
  }, 60_000);

  const controlUrl = ({ name }: SimulatedPortal) =>
    `http://127.0.0.1:${relay.env['SIMULATOR_PORT']}/_sim/portals/${name}`;
  const queueOf = async (portal: SimulatedPortal) =>
    offlineQueue.parse(await control('GET', `${controlUrl(portal)}/offline`));

  function startReader(): Promise<AppProcess> {
    const url = new URL(relay.env['AMQP_URL'] ?? 'amqp://none');
    if (bus) [url.hostname, url.port] = ['127.0.0.1', String(bus.port)];
    return relay.startProcess('offline-puller', bus ? { AMQP_URL: url.href } : {});
  }

  const waits = new Map<Held, Promise<void>>();

  function holdRequest(moment: 'request' | 'answer', { url, body }: { url: string; body: string }) {
    const text = `${url}\n${body}\n${body.replaceAll('%5B', '[')}`;
    const one = held.find(
      ({ portal, point, isReached }) =>
        !isReached &&
        url.includes(`/portals/${portal}/`) &&
        (point.moment === 'request') === (moment === 'request') &&
        CALLS[point.call].test(text),
    );
    if (!one) return undefined;
    one.isReached = true;
    return waits.get(one);
  }

  function holdAt(at: number): void {
    held = [...portals].map(([{ name }, plan]) => {
      const point = POINTS[plan][at];
      if (!point) throw new Error(`no point ${at}`);
      const { promise, resolve } = deferred<void>();
      const one = { portal: name, point, isReached: false, release: () => resolve() };
      waits.set(one, promise);
      return one;
    });
  }

  /** As the leader does. */
  const requestPolls = () =>
    database.query(
      `INSERT INTO portals.tasks (consumer, member_id, kind) SELECT 'offline-puller', member_id, 'pull' FROM offline.visits
       ON CONFLICT DO NOTHING`,
    );
  /** As after the time for which a process that stands still is waited for. */
  const endLeases = () =>
    database.query(
      `WITH leader AS (UPDATE platform.leader_leases SET expires_at = clock_timestamp() WHERE name = 'offline-puller')
       UPDATE portals.tasks SET lease_until = now() - interval '1 hour'
       WHERE consumer = 'offline-puller' AND state = 'running'`,
    );

  /** New contacts at both portals, and polls that are at their points now. */
  async function stopAt(at: number): Promise<Map<SimulatedPortal, number>> {
    holdAt(at);
    const added = new Map<SimulatedPortal, number>();
    for (const portal of portals.keys()) {
      added.set(portal, (await portal.add(contact, { name: 'oLENA', lastName: 'SHEVCHENKO' })).id);
    }
    await requestPolls();
    await eventually(() => expect(held.filter(({ isReached }) => !isReached)).toEqual([]), {
      timeoutMs: 60_000,
    });
    if (held.every(({ point }) => point.moment !== 'publish')) return added;
    bus?.freeze();
    for (const one of held) one.release();
    // Everything before the publishing is done.
    await eventually(async () => {
      const { rows } = await database.query(
        `SELECT member_id FROM offline.batches
         UNION SELECT member_id FROM offline.records JOIN offline.visits USING (member_id) WHERE taking_since IS NULL`,
      );
      expect(rows).toHaveLength(2);
    });
    return added;
  }

  async function isNothingLeft(): Promise<void> {
    await eventually(
      async () => {
        for (const portal of portals.keys()) {
          expect([portal.name, (await queueOf(portal)).records]).toEqual([portal.name, []]);
        }
        const { rows } = await database.query(
          'SELECT process_id FROM offline.batches UNION ALL SELECT message_id FROM offline.records',
        );
        expect(rows).toEqual([]);
      },
      { timeoutMs: 90_000 },
    );
  }

  it.each(stops)(
    'at %s: killed, or followed by another while it stands still, it loses nothing, and leaves nothing',
    async (_, at) => {
      let added = await stopAt(at);
      await reader.stop('SIGKILL');
      for (const one of held) one.release();
      await bus?.mend();
      await endLeases();
      reader = await startReader();
      await areHandled(added);
      await isNothingLeft();

      added = await stopAt(at);
      const frozen = reader;
      frozen.signal('SIGSTOP');
      try {
        await bus?.mend();
        reader = await startReader();
        await endLeases();
        await areHandled(added);
      } finally {
        frozen.signal('SIGCONT');
        for (const one of held) one.release();
      }
      await isNothingLeft();
      expect(await frozen.stop()).toBe(0);
    },
    180_000,
  );

  it('has said of the basic plan alone that an answer was lost', async () => {
    const { rows } = await database.query('SELECT DISTINCT member_id, reason FROM portals.event_gaps');
    const basic = [...portals].find(([, plan]) => plan === 'N')?.[0];
    expect(rows).toEqual([{ member_id: basic?.memberId, reason: 'LOST_ANSWER' }]);
  });
});
