import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type BusAdmin, openBusAdmin } from '@relay/bus';
import { databaseOptions, deferred, silentLog } from '@relay/platform';
import { EventBindings, PORTAL_ENTITIES, Subscriptions } from '@relay/portals';
import { DataSource } from 'typeorm';
import { busesUnderTest, type BusUnderTest } from '../../../../test/support/bus-under-test.js';
import { migratedDatabase, type TestDatabase } from '../../../../test/support/database.js';
import { eventually } from '../../../../test/support/eventually.js';
import { ConsumerRegistry } from './consumer-registry.js';

const consumer = 'deal-mailer';
const names = ['ONCRMDEALADD', 'ONCRMDYNAMICITEMADD_147'];
const lockWaiters = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;

/** Real: PostgreSQL, RabbitMQ. Two registries, as of two processes of the control plane. */
describe.each(busesUnderTest)('registering and retiring a consumer at the same time, on %s', (bus, setUp) => {
  let underTest: BusUnderTest;
  let database: TestDatabase;
  let source: DataSource;
  let subscriptions: Subscriptions;
  let admins: BusAdmin[];
  let other: ConsumerRegistry;

  beforeAll(async () => {
    [underTest, database] = await Promise.all([setUp(), migratedDatabase()]);
    source = await new DataSource(databaseOptions(database.url, 'spec', PORTAL_ENTITIES)).initialize();
    subscriptions = new Subscriptions(source, { on: () => () => undefined });
    const options = {
      ...(bus === 'RabbitMQ' && { amqpUrl: underTest.url }),
      databaseUrl: database.url,
      log: silentLog,
    };
    admins = [openBusAdmin(options), openBusAdmin(options)];
    other = registry(1, subscriptions);
  });
  beforeEach(async () => {
    await other.register(consumer, ['ONCRMLEADADD']);
  });
  afterAll(async () => {
    await Promise.all((admins ?? []).map((admin) => admin.close()));
    await underTest?.forget(consumer);
    await source?.destroy();
    await Promise.all([underTest?.drop(), database?.drop()]);
  });

  function registry(nth: number, recorded: Subscriptions): ConsumerRegistry {
    const admin = admins[nth];
    if (!admin) throw new Error('there are two');
    return new ConsumerRegistry({ admin, subscriptions: recorded, bindings: new EventBindings(source) });
  }

  /** Begins the first one, which stops before it calls this; then the second one. @returns what both leave behind */
  async function meanwhile(
    stop: 'record' | 'remove',
    first: (registry: ConsumerRegistry) => Promise<unknown>,
    second: (registry: ConsumerRegistry) => Promise<unknown>,
  ): Promise<{ isRecorded: boolean; isThere: boolean }> {
    const [stopped, goOn] = [deferred<undefined>(), deferred<undefined>()];
    const recorded: Subscriptions = Object.assign(Object.create(subscriptions), {
      [stop]: async (...given: [string, string[]]) => {
        stopped.resolve(undefined);
        await goOn.promise;
        await subscriptions[stop](...given);
      },
    });
    const one = first(registry(0, recorded));
    await stopped.promise;
    let hasEnded = false;
    const two = second(other).finally(() => (hasEnded = true));
    await eventually(async () => {
      const waiters = await source.query<object[]>(lockWaiters);
      if (!hasEnded && waiters.length === 0) throw new Error('it neither waits nor has ended');
    });
    goOn.resolve(undefined);
    await Promise.all([one, two]);
    return {
      isRecorded: (await subscriptions.byConsumer()).has(consumer),
      isThere: !(await admins[0]?.statusOf(consumer))?.unknown,
    };
  }

  it('ends with none where the retirement comes second', async () => {
    const left = await meanwhile(
      'record',
      (one) => one.register(consumer, names),
      (two) => two.retire(consumer, {}),
    );
    expect(left).toEqual({ isRecorded: false, isThere: false });
  });

  it('ends with a whole one where the registration comes second', async () => {
    const left = await meanwhile(
      'remove',
      (one) => one.retire(consumer, {}),
      (two) => two.register(consumer, names),
    );
    expect(left).toEqual({ isRecorded: true, isThere: true });
    expect((await subscriptions.byConsumer()).get(consumer)).toEqual(names);
    const topology = await admins[0]?.topology(new Map([[consumer, names]]));
    expect(topology?.filter((part) => part.consumer !== null && part.state !== 'ok')).toEqual([]);
  });
});
