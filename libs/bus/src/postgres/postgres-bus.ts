import type { PortalEvent } from '@relay/events';
import type { BusHealth } from '../connection/connection-report.js';
import {
  type BusOptions,
  checkNames,
  type Consumption,
  type ConsumeOptions,
  DEFAULT_PREFETCH,
  type EventBus,
} from '../contract/event-bus.js';
import { beginPublishing, countDeliveries, instrumentPublish } from '../contract/instrumentation.js';
import { PostgresConsumption } from './consumption.js';
import { PostgresPublisher } from './publisher.js';

/**
 * The bus of a small installation, in tables of schema `bus`, with the same guarantees as the RabbitMQ bus. It needs
 * direct connections to PostgreSQL: a pooler that shares sessions breaks LISTEN and the shard leases.
 */
export class PostgresBus implements EventBus {
  private readonly publisher: PostgresPublisher;
  private readonly consumptions = new Set<PostgresConsumption>();

  constructor(
    private readonly url: string,
    private readonly options: BusOptions & { pollMs: number; busHealth?: BusHealth },
  ) {
    this.publisher = new PostgresPublisher(url, options);
  }

  /** Resolves after the first connection attempt: a database that is down does not prevent a gateway start. */
  start(): Promise<void> {
    beginPublishing('postgresql');
    return this.publisher.start();
  }

  publish(event: PortalEvent, deadlineMs?: number): Promise<void> {
    return instrumentPublish('postgresql', event, (traced) => this.publisher.publish(traced, deadlineMs));
  }

  async consume(options: ConsumeOptions): Promise<Consumption> {
    checkNames(options);
    const { consumer, names, prefetch = DEFAULT_PREFETCH, signal } = options;
    const { log, retryDelaysMs, pollMs, busHealth } = this.options;
    const receive = countDeliveries('postgresql', options, retryDelaysMs);
    const session = { consumer, prefetch, receive, log, retryDelaysMs, pollMs };
    const consumption = new PostgresConsumption(this.url, names, session, busHealth);
    this.consumptions.add(consumption);
    try {
      await consumption.start(signal);
    } catch (error) {
      await consumption.stop();
      throw error;
    }
    return consumption;
  }

  isReady(): boolean {
    return this.publisher.isReady();
  }

  async close(): Promise<void> {
    await Promise.all([...this.consumptions].map((consumption) => consumption.stop()));
    await this.publisher.close();
  }
}
