import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openEventBus, type EventBus } from '@relay/bus';
import { silentLog } from '@relay/platform';
import amqp from 'amqplib';
import pg from 'pg';
import { anEvent } from '../support/an-event.js';
import { freePort, hasBroker } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { AppProcess } from '../support/processes.js';
import { startRelay, type BusKind, type Relay } from '../support/relay.js';

const flood = 'flood';
const killer = '40';

/** Real: the bus, the consumer's process, and its end by SIGKILL, each time it meets one event among thousands. */
describe.each<BusKind>(hasBroker ? ['RabbitMQ', 'PostgreSQL'] : ['PostgreSQL'])(
  'an event that kills its consumer on %s',
  (kind) => {
    let relay: Relay;
    let bus: EventBus;

    beforeAll(async () => {
      relay = await startRelay(kind, []);
      bus = await openEventBus({
        amqpUrl: relay.env['AMQP_URL'],
        databaseUrl: relay.env['DATABASE_URL'],
        log: silentLog,
        publishDeadlineMs: 30_000,
      });
    }, 240_000);
    afterAll(async () => {
      await bus?.close();
      await relay?.stop();
    }, 120_000);

    async function startConsumer(): Promise<AppProcess> {
      const opsPort = String(await freePort());
      const consumer = AppProcess.start('mortal', '../test/support/mortal-consumer.mjs', {
        ...relay.env,
        OPS_PORT: opsPort,
        LOG_LEVEL: 'info',
        MORTAL_CONSUMER: JSON.stringify({ memberId: flood, entityId: killer }),
      });
      return consumer;
    }

    async function deadLetters(): Promise<{ code: string; content: string }[]> {
      if (kind === 'PostgreSQL') {
        const client = new pg.Client({ connectionString: relay.env['DATABASE_URL'] });
        await client.connect();
        try {
          const sql = `SELECT code, content::text AS content FROM bus.dead_letters`;
          return (await client.query<{ code: string; content: string }>(sql)).rows;
        } finally {
          await client.end();
        }
      }
      const connection = await amqp.connect(relay.env['AMQP_URL'] ?? '');
      try {
        const channel = await connection.createChannel();
        const letters: { code: string; content: string }[] = [];
        for (;;) {
          const message = await channel.get('b24.mortal.dead');
          if (!message) return letters;
          const code = String(message.properties.headers?.['b24-code']);
          letters.push({ code, content: message.content.toString() });
        }
      } finally {
        await connection.close();
      }
    }

    it('is laid aside by itself, and of thousands that were fetched with it each is handled', async () => {
      // Its queues must stand before there is anything to publish to.
      const first = await startConsumer();
      await first.stop(await readyThen(first));
      const sent = new Set<string>();
      const publish = async (memberId: string, entityId: string): Promise<void> => {
        sent.add(`${memberId} ${entityId}`);
        await bus.publish(anEvent({ memberId, entityId }));
      };
      await Promise.all(Array.from({ length: 3_000 }, (_, id) => publish(flood, String(id))));
      await Promise.all(Array.from({ length: 1_000 }, (_, id) => publish(`portal${id % 200}`, String(id))));

      const consumers: AppProcess[] = [];
      const handled = (): Set<string> =>
        new Set(
          consumers.flatMap((consumer) =>
            [...consumer.log().matchAll(/^{"handled":"(.+)","ids":(.+)}$/gm)].flatMap(([, memberId, ids]) =>
              [...(ids ?? '').matchAll(/\d+/g)].map(([id]) => `${memberId} ${id}`),
            ),
          ),
        );
      sent.delete(`${flood} ${killer}`);
      let last: AppProcess | undefined;
      for (let lives = 0; lives < 25 && (await deadLetters()).length === 0; lives += 1) {
        const living = await startConsumer();
        consumers.push(living);
        await eventually(
          async () => {
            if (living.hasEnded() || (await deadLetters()).length === 1) return;
            throw new Error('it still lives, and nothing is laid aside');
          },
          { timeoutMs: 120_000, everyMs: 500 },
        );
        // What it wrote last may still be on its way.
        if (living.hasEnded()) await living.end();
        last = living;
      }
      await eventually(
        () => {
          const all = handled();
          expect([...sent].filter((each) => !all.has(each))).toEqual([]);
        },
        { timeoutMs: 120_000, everyMs: 200 },
      );
      await last?.stop();
      const letters = await deadLetters();
      expect(letters.map(({ code }) => code)).toEqual(['poison']);
      expect(letters[0]?.content).toContain(`"entityId":"${killer}"`);
      expect(consumers.length).toBeLessThan(20);
    }, 600_000);
  },
);

/** Resolves with the signal to end it by, when the consumer takes events. */
async function readyThen(consumer: AppProcess): Promise<NodeJS.Signals> {
  await eventually(() => expect(consumer.log()).toContain('takes events'), { timeoutMs: 120_000 });
  return 'SIGTERM';
}
