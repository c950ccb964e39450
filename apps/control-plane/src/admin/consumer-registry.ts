import { ConflictException, NotFoundException } from '@nestjs/common';
import type { BusAdmin, ConsumerStatus, RetireOptions, Retirement } from '@relay/bus';
import type { EventBindings, Subscriptions } from '@relay/portals';

export interface ConsumerRegistryParts {
  admin: BusAdmin;
  subscriptions: Subscriptions;
  bindings: EventBindings;
}

/** RabbitMQ cannot list consumers: these have recorded their events, or have queues or reports on the bus. */
export class ConsumerRegistry {
  constructor(private readonly parts: ConsumerRegistryParts) {}

  /** Sorted. */
  async names(): Promise<string[]> {
    const { admin, subscriptions } = this.parts;
    const [recorded, traced] = await Promise.all([subscriptions.byConsumer(), admin.knownConsumers()]);
    return [...new Set([...recorded.keys(), ...traced])].toSorted();
  }

  /** By consumer; empty for one that only the bus knows. */
  async events(): Promise<Map<string, string[]>> {
    const recorded = await this.parts.subscriptions.byConsumer();
    return new Map((await this.names()).map((name) => [name, recorded.get(name) ?? []]));
  }

  /** Event names by consumer, for those that are to get events. */
  async wanted(): Promise<Map<string, string[]>> {
    const wanted = new Map<string, string[]>();
    for (const { consumer, name } of await this.parts.subscriptions.active()) {
      wanted.set(consumer, [...(wanted.get(consumer) ?? []), name]);
    }
    return wanted;
  }

  async statuses(): Promise<(ConsumerStatus & { events: string[] })[]> {
    const events = await this.events();
    const statuses = await this.parts.admin.statuses([...events.keys()]);
    return statuses.map((status) => ({ ...status, events: events.get(status.consumer) ?? [] }));
  }

  /** @throws NotFoundException if neither the database nor the bus knows it */
  async require(consumer: string): Promise<void> {
    if ((await this.names()).includes(consumer)) return;
    if (!(await this.parts.admin.statusOf(consumer)).unknown) return;
    throw new NotFoundException(`There is no consumer ${consumer}`);
  }

  /** Every event name to which any consumer may have subscribed, in case one has dropped some. */
  async everyEvent(): Promise<string[]> {
    const { subscriptions, bindings } = this.parts;
    return [...new Set([...(await subscriptions.wanted()), ...(await bindings.names())])];
  }

  /**
   * Of a program that does not record its events itself, which every start of `libs/consumer` does.
   * @throws ConflictException while processes of such a one run; OperationInProgressError
   */
  async register(consumer: string, names: readonly string[]): Promise<void> {
    const { admin, subscriptions } = this.parts;
    await admin.serialize(consumer, async () => {
      const { processes } = await admin.statusOf(consumer);
      if (processes.length > 0)
        throw new ConflictException(
          `${consumer} runs here, and says itself at each start which events it wants`,
        );
      // In the order of a start: no event comes before there is a place for it.
      await admin.declare(consumer, names, await this.everyEvent());
      await subscriptions.record(consumer, names);
    });
  }

  /**
   * Removes everything of the consumer, if it has no process and no message; see `BusAdmin.retire`.
   * @throws NotFoundException as `require`; OperationInProgressError
   */
  async retire(consumer: string, how: Omit<RetireOptions, 'names'>): Promise<Retirement> {
    const { admin, subscriptions } = this.parts;
    return admin.serialize(consumer, async () => {
      await this.require(consumer);
      // First, so that no gateway declares its queues and bindings again.
      const isFresh = await subscriptions.drain(consumer);
      const retirement = await admin.retire(consumer, { ...how, names: await this.everyEvent() });
      if (retirement.outcome === 'rejected' && isFresh && !retirement.unsubscribed) {
        await subscriptions.undrain(consumer);
      }
      // So that the control plane no longer binds its events at the portals.
      if (retirement.outcome === 'retired') await subscriptions.remove(consumer);
      return retirement;
    });
  }
}
