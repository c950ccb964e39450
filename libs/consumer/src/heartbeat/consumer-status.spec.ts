import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { silentLog } from '@relay/platform';
import { eventually } from '../../../../test/support/eventually.js';
import {
  busAdminsUnderTest,
  type BusAdminUnderTest,
} from '../../../../test/support/bus-admins-under-test.js';
import { anEvent } from '../../../../test/support/an-event.js';
import type { ConsumerState, WorkReport } from '../scheduler/dispatcher.js';
import type { Delivery } from '@relay/bus';
import { ProcessReporter } from './process-reporter.js';

jest.setTimeout(60_000);

const names = ['ONCRMCONTACTUPDATE'];

describe.each(busAdminsUnderTest)('the status of a consumer on %s', (_, setUp) => {
  let test: BusAdminUnderTest;
  const reporters: ProcessReporter[] = [];
  beforeAll(async () => {
    test = await setUp();
  });
  afterEach(async () => {
    for (const reporter of reporters.splice(0)) await reporter.stop();
    await test.endTest();
  });
  afterAll(() => test.end());

  const report = (
    consumer: string,
    state: () => (ConsumerState & WorkReport) | undefined,
  ): ProcessReporter => {
    const reporter = new ProcessReporter({
      consumer,
      database: test.database,
      state,
      log: silentLog,
      everyMs: 20,
    });
    reporters.push(reporter);
    return reporter;
  };

  it('counts waiting, in-flight, retrying and dead messages', async () => {
    const consumer = test.newConsumer();
    const deliveries: Delivery[] = [];
    const retried: Promise<void>[] = [];
    let stops = false;
    const consumption = await test.consume({
      consumer,
      names,
      receive: (delivery) => {
        const { event, receipt } = delivery;
        if (event.entityId === '1') void receipt.dead({ code: 'X', message: '' });
        else if (event.entityId === '2' && !stops) retried.push(receipt.retry(1, { code: 'Y', message: '' }));
        else deliveries.push(delivery);
      },
    });
    const reporter = report(consumer, () => ({
      lanes: 1,
      waiting: deliveries.length,
      batches: 0,
      isPaused: true,
      newer: 0,
      deferred: 0,
      done: 3_000_000_000,
      largest: [{ memberId: 'a portal', events: deliveries.length }],
      oldestAt: deliveries[0]?.event.receivedAt,
    }));
    await reporter.start();
    for (const entityId of ['1', '2', '3', '4']) await test.bus.publish(anEvent({ entityId }));
    await eventually(async () => {
      const status = await test.admin.statusOf(consumer);
      expect(status).toMatchObject({ dead: 1, inHand: 2, retrying: 1, missing: false, unknown: false });
      expect(status.processes).toMatchObject([
        { done: 3_000_000_000, largest: [{ memberId: 'a portal', events: 2 }] },
      ]);
      expect(status.oldestAt).not.toBeNull();
      // A process reports periodically, some time after its state has changed.
      expect(status).toMatchObject({
        shardsServed: 16,
        processes: [{ pid: process.pid, lanes: 1, waiting: 2, batches: 0, isPaused: true }],
      });
    });

    // One that is stopped between the message in the tier and the acknowledgement comes twice.
    stops = true;
    await Promise.all(retried);
    await consumption.stop();
    await reporter.stop();
    await eventually(async () => {
      expect(await test.admin.statusOf(consumer)).toMatchObject({
        waiting: 3,
        inHand: 0,
        retrying: 0,
        dead: 1,
        shardsServed: 0,
        processes: [],
        missing: true,
      });
    });
  });

  it('counts events for which nothing failed apart from those that failed, of several consumers at once', async () => {
    const [busy, quiet] = [test.newConsumer(), test.newConsumer()];
    let settled = 0;
    await test.consume({
      consumer: busy,
      names,
      receive: ({ event, receipt }) => {
        const settling =
          event.entityId === '1' ? receipt.retry(60_000, { code: 'Y', message: '' }) : receipt.defer(60_000);
        void settling.then(() => (settled += 1));
      },
    });
    const reporter = report(busy, () => ({
      lanes: 0,
      waiting: 0,
      batches: 0,
      isPaused: false,
      newer: 0,
      deferred: 2,
      done: 0,
      largest: [],
      oldestAt: undefined,
    }));
    await reporter.start();
    for (const entityId of ['1', '2', '3']) await test.bus.publish(anEvent({ entityId }));
    await eventually(() => expect(settled).toBe(3));
    await eventually(async () => {
      const counts = await test.admin.statuses([quiet, busy]);
      expect(counts.map(({ consumer, retrying, deferred }) => ({ consumer, retrying, deferred }))).toEqual([
        { consumer: quiet, retrying: 0, deferred: 0 },
        { consumer: busy, retrying: 3, deferred: 2 },
      ]);
    });
  });

  it('does not report missing processes when there is no work', async () => {
    const consumer = test.newConsumer();
    const consumption = await test.consume({ consumer, names, receive: () => undefined });
    await consumption.stop();
    await eventually(async () => {
      expect(await test.admin.statusOf(consumer)).toMatchObject({ shardsServed: 0, missing: false });
    });
  });

  it('omits a process that has been silent for long, but keeps its consumer', async () => {
    const consumer = test.newConsumer();
    const reporter = report(consumer, () => undefined);
    await reporter.start();
    await eventually(async () => expect((await test.admin.statusOf(consumer)).processes).toHaveLength(1));
    // The row of a killed process.
    await test.database.query(
      `INSERT INTO bus.consumer_processes
       SELECT consumer, gen_random_uuid(), host, 4711, lanes, waiting, batches, oldest_at, is_paused, started_at,
              now() - interval '31 seconds'
       FROM bus.consumer_processes WHERE consumer = $1`,
      [consumer],
    );
    const { processes } = await test.admin.statusOf(consumer);
    expect(processes.map(({ pid }) => pid)).toEqual([process.pid]);
    await reporter.stop();
    expect((await test.admin.statusOf(consumer)).processes).toEqual([]);
    expect(await test.admin.knownConsumers()).toContain(consumer);
  });

  it('is empty for an unknown consumer', async () => {
    expect(await test.admin.statusOf('never-was')).toMatchObject({ unknown: true, waiting: 0, dead: 0 });
  });
});
