import { silentLog } from '@relay/platform';
import pg from 'pg';
import { freshDatabase } from './database.js';
import { eventually } from './eventually.js';
import type { BusAdmin } from '../../libs/bus/src/admin/bus-admin.js';
import { openBusAdmin } from '../../libs/bus/src/open-bus.js';
import type {
  ConsumeOptions,
  Consumption,
  EventBus,
  Failure,
} from '../../libs/bus/src/contract/event-bus.js';
import { busesUnderTest, retryDelaysMs, type BusUnderTest } from './bus-under-test.js';

/** A bus with its admin API, for one spec. */
export interface BusAdminUnderTest {
  underTest: BusUnderTest;
  bus: EventBus;
  admin: BusAdmin;
  /** The admin API of another process; the caller closes it. @param url of the bus */
  openAdmin(url: string): BusAdmin;
  /** Holds process reports; with PostgreSQL also the bus. */
  database: pg.Pool;
  /** A name that no other test of the spec uses; deleted by `endTest`. */
  newConsumer(): string;
  /** Consumes until `endTest`, or until stopped. */
  consume(options: ConsumeOptions): Promise<Consumption>;
  /**
   * Subscribes, publishes, and fails every event with this failure; resolves when all are dead letters and nobody
   * consumes.
   */
  letDie(consumer: string, publish: () => Promise<void>, count: number, failure?: Failure): Promise<void>;
  endTest(): Promise<void>;
  end(): Promise<void>;
}

const defaultFailure: Failure = { code: 'ACCESS_DENIED', message: 'No access' };

/** @param given retry delays, where those of the other specs are too short */
async function busAdminUnderTest(
  setUp: () => Promise<BusUnderTest>,
  given: { retryDelaysMs?: readonly number[] },
): Promise<BusAdminUnderTest> {
  const underTest = await setUp();
  const isRabbit = underTest.url.startsWith('amqp');
  const ownDatabase = isRabbit ? await freshDatabase('libs/bus') : undefined;
  const databaseUrl = ownDatabase?.url ?? underTest.url;
  const openAdmin = (url: string): BusAdmin =>
    openBusAdmin({
      ...(isRabbit ? { amqpUrl: url, databaseUrl } : { databaseUrl: url }),
      log: silentLog,
      retryDelaysMs,
      ...given,
    });
  const bus = await underTest.open(given);
  const admin = openAdmin(underTest.url);
  const database = new pg.Pool({ connectionString: databaseUrl, max: 2 });
  // Dropping the database ends a connection that has not closed by itself yet.
  database.on('error', () => undefined);
  const running = new Set<Consumption>();
  const consumers: string[] = [];
  let made = 0;

  const consume = async (options: ConsumeOptions): Promise<Consumption> => {
    const consumption = await bus.consume(options);
    running.add(consumption);
    return consumption;
  };
  return {
    underTest,
    bus,
    admin,
    openAdmin,
    database,
    consume,
    newConsumer: () => {
      const consumer = `consumer-${++made}`;
      consumers.push(consumer);
      return consumer;
    },
    letDie: async (consumer, publish, count, failure = defaultFailure) => {
      const before = (await admin.statusOf(consumer)).dead;
      const consumption = await consume({
        consumer,
        names: ['ONCRMCONTACTUPDATE'],
        receive: (delivery) => void delivery.receipt.dead(failure),
      });
      await publish();
      await eventually(async () => {
        const { dead } = await admin.statusOf(consumer);
        if (dead !== before + count) throw new Error(`${dead} of ${before + count} lie dead`);
      });
      await consumption.stop();
    },
    endTest: async () => {
      await Promise.all([...running].map((consumption) => consumption.stop()));
      running.clear();
      for (const consumer of consumers.splice(0)) await underTest.forget(consumer);
      await database.query('DELETE FROM bus.consumer_processes');
    },
    end: async () => {
      await Promise.all([bus.close(), admin.close(), database.end()]);
      await underTest.drop();
      await ownDatabase?.drop();
    },
  };
}

/** For `describe.each`, like `busesUnderTest`. */
export const busAdminsUnderTest: [
  name: string,
  setUp: (given?: { retryDelaysMs?: readonly number[] }) => Promise<BusAdminUnderTest>,
][] = busesUnderTest.map(([name, setUp]) => [name, (given = {}) => busAdminUnderTest(setUp, given)]);
