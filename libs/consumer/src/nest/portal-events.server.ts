import { Server, type CustomTransportStrategy } from '@nestjs/microservices';
import type { Log } from '@relay/platform';
import { type Consumption, type EventBus, findDataMismatch, type PortalEvent } from '@relay/bus';
import type { ConsumerState, WorkReport } from '../scheduler/dispatcher.js';
import { Dispatcher, type DispatcherOptions } from '../scheduler/dispatcher.js';
import { findUnmergeable, gatherHandlers } from './event-handlers.js';
import { portalEventsTransport } from './on-portal-events.decorator.js';

export interface PortalEventsServerOptions {
  /** Not closed by the server: its opener closes it afterwards. */
  bus: EventBus;
  consumer: string;
  log: Log;
  crashLog: DispatcherOptions['crashLog'];
  eventLog?: DispatcherOptions['eventLog'];
  /**
   * Called once with all event names, when the consumer's queues exist: portals may be told to send the events from
   * now on.
   */
  onSubscribed?: (names: string[]) => Promise<void>;
  /** Maximum unacknowledged deliveries per shard. */
  prefetch?: number;
  maxBatches?: DispatcherOptions['maxBatches'];
  retryDelaysMs?: DispatcherOptions['retryDelaysMs'];
  drainWithinMs?: DispatcherOptions['drainWithinMs'];
  /** Compares the data of events with their documentation and logs the first difference of each name. Default false. */
  checkData?: boolean;
}

/** Nest transport strategy of a consumer: its `@OnPortalEvents` methods handle what the bus delivers. */
export class PortalEventsServer extends Server implements CustomTransportStrategy {
  override readonly transportId = portalEventsTransport;
  /** The error goes to `decide`, so Nest need not log it as unhandled. */
  override readonly propagatesEventHandlerErrors = true;
  private readonly closing = new AbortController();
  /** Names of documented events whose data were not as documented. */
  private readonly unexpected = new Set<string>();
  private dispatcher: Dispatcher | undefined;
  private consumption: Consumption | undefined;
  private closed: Promise<void> | undefined;

  constructor(private readonly options: PortalEventsServerOptions) {
    super();
  }

  /**
   * Passes HandlerSetupError, BusClosedError and errors of `onSubscribed` to the callback; waits for a bus that is
   * down.
   */
  async listen(callback: (error?: unknown) => void): Promise<void> {
    let failure: unknown;
    try {
      await this.start();
    } catch (error) {
      failure = error;
    }
    callback(failure);
  }

  /**
   * Starts no new batch, finishes those in flight, then releases the rest for redelivery, here or elsewhere.
   * Idempotent: Nest closes the server again with the app.
   */
  close(): Promise<void> {
    this.closed ??= this.closeAll();
    return this.closed;
  }

  private async closeAll(): Promise<void> {
    this.closing.abort();
    await this.dispatcher?.drain();
    await this.consumption?.stop();
  }

  /** The queues exist and deliveries arrive. */
  isReady(): boolean {
    return this.consumption?.isReady() ?? false;
  }

  /** Retries at once what waits in this process for the portal to accept calls. */
  wake(memberId: string): void {
    this.dispatcher?.wake(memberId);
  }

  /** Undefined before `listen`. */
  state(): ConsumerState | undefined {
    const state = this.dispatcher?.state();
    return state && { ...state, newer: this.consumption?.newer() ?? 0 };
  }

  /** Undefined before `listen`. */
  report(): (ConsumerState & WorkReport) | undefined {
    const [state, work] = [this.state(), this.dispatcher?.report()];
    return state && work && { ...state, ...work };
  }

  override on(): never {
    throw new TypeError('Portal events have no transport events to listen to');
  }

  override unwrap(): never {
    throw new TypeError('Portal events have no single client to unwrap');
  }

  /** Once for each name. The event is handled all the same: Bitrix24 may change its data at any time. */
  private noteUnexpectedData(event: PortalEvent): void {
    if (this.unexpected.has(event.name)) return;
    const path = findDataMismatch(event);
    if (path === undefined) return;
    this.unexpected.add(event.name);
    const { consumer, log } = this.options;
    log.warn(
      { event: 'consumer.data.unexpected', consumer, name: event.name, memberId: event.memberId, path },
      'the data of an event are not as documented, so the type of a handler that names it is wrong there; said once for each event',
    );
  }

  private async start(): Promise<void> {
    const { bus, consumer, onSubscribed, prefetch, checkData = false, ...options } = this.options;
    const { log } = options;
    const handlers = gatherHandlers(consumer, this.messageHandlers);
    const names = handlers.flatMap((handler) => handler.names);
    const unmergeable = findUnmergeable(handlers);
    if (unmergeable.length > 0)
      log.warn(
        { event: 'consumer.handler.unmergeable', consumer, names: unmergeable },
        'these events name no thing by which they could be merged: each is an entry of its own, with its data; handle them in a method with { merge: false }',
      );
    const dispatcher = new Dispatcher({ consumer, handlers, prefetch, ...options });
    this.dispatcher = dispatcher;
    this.consumption = await bus.consume({
      consumer,
      names,
      prefetch,
      receive: (delivery) => {
        if (checkData) this.noteUnexpectedData(delivery.event);
        dispatcher.receive(delivery);
      },
      signal: this.closing.signal,
    });
    log.info({ consumer, names }, 'consuming portal events');
    try {
      await onSubscribed?.(names);
    } catch (error) {
      await this.close();
      throw error;
    }
  }
}
