import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { silentLog } from '@relay/platform';
import amqp from 'amqplib';
import { freshVhost, hasBroker, type TestVhost } from '../../../../test/support/broker.js';
import { eventually } from '../../../../test/support/eventually.js';
import { anEvent } from '../../../../test/support/an-event.js';
import { retryDelaysMs } from '../../../../test/support/bus-under-test.js';
import type { EventBus } from '../contract/event-bus.js';
import { openEventBus } from '../open-bus.js';
import { shardOf, shards } from '../contract/shard.js';

jest.setTimeout(60_000);

const consumer = 'replicated';

/** One portal per shard. */
const portals = shards.map((shard) => {
  const numbers = Array.from({ length: 1_000 }, (_, number) => `portal-${number}`);
  return numbers.find((name) => shardOf(name) === shard) ?? '';
});

/**
 * Processes of one consumer on one broker: RabbitMQ 4 shares the shards among them, RabbitMQ 3 uses one after the
 * other.
 */
(hasBroker ? describe : describe.skip)('replicas of a consumer', () => {
  let vhost: TestVhost;
  let sharing: boolean;
  let gateway: EventBus;
  const replicas: Replica[] = [];

  class Replica {
    readonly portals: string[] = [];
    private constructor(private readonly bus: EventBus) {}

    static async start(): Promise<Replica> {
      const replica = new Replica(await open());
      await replica.bus.consume({
        consumer,
        names: ['ONCRMCONTACTUPDATE'],
        receive: (delivery) => {
          replica.portals.push(delivery.event.memberId);
          void delivery.receipt.done();
        },
      });
      replicas.push(replica);
      return replica;
    }

    async stop(): Promise<void> {
      await this.bus.close();
    }
  }

  async function open(): Promise<EventBus> {
    return openEventBus({ amqpUrl: vhost.url, log: silentLog, retryDelaysMs, publishDeadlineMs: 5_000 });
  }

  beforeAll(async () => {
    vhost = await freshVhost();
    const connection = await amqp.connect(vhost.url);
    sharing = !connection.connection.serverProperties.version.startsWith('3.');
    await connection.close();
    gateway = await open();
  });
  afterEach(async () => {
    for (const replica of replicas.splice(0)) await replica.stop();
  });
  afterAll(async () => {
    await gateway.close();
    await vhost.drop();
  });

  /** Publishes one event per shard, and waits until each has arrived at some replica, once. */
  async function round(): Promise<void> {
    for (const replica of replicas) replica.portals.length = 0;
    for (const memberId of portals) await gateway.publish(anEvent({ memberId }));
    await eventually(() => {
      const arrived = replicas.flatMap((replica) => replica.portals);
      expect(arrived.toSorted()).toEqual(portals.toSorted());
    });
  }

  it('leave none idle on RabbitMQ 4, and let the next take over on RabbitMQ 3', async () => {
    const [first, second] = [await Replica.start(), await Replica.start()];
    await eventually(async () => {
      await round();
      const idle = replicas.filter((replica) => replica.portals.length === 0);
      expect(idle).toHaveLength(sharing ? 0 : 1);
    });

    await first.stop();
    replicas.splice(replicas.indexOf(first), 1);
    await round();
    expect(second.portals).toHaveLength(16);
  });

  it('keep a portal on one replica from event to event', async () => {
    await Replica.start();
    await Replica.start();
    // A new replica takes its shards over at once, but not in the same instant.
    await eventually(async () => {
      await round();
      const owners = new Map(
        replicas.flatMap((replica) => replica.portals.map((portal) => [portal, replica] as const)),
      );
      await round();
      for (const replica of replicas) {
        for (const portal of replica.portals) expect(owners.get(portal)).toBe(replica);
      }
    });
  });
});
