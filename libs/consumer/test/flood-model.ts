import { jest } from '@jest/globals';
import { DEFAULT_PREFETCH, type PortalEvent, type Receipt } from '@relay/bus';
import { silentLog } from '@relay/platform';
import { anEvent } from '../../../test/support/an-event.js';
import type { PortalBatch, PostponedEntry } from '../src/scheduler/batch.js';
import { Dispatcher } from '../src/scheduler/dispatcher.js';
import { MemoryCrashLog } from './memory-crash-log.js';

export interface FloodOptions {
  contacts: number;
  /** In which the portal tells of all of them, at a steady rate. */
  arriveWithinMs: number;
  /** Of the bus, at most. */
  deliveriesPerSecond: number;
  /** Between a write and the event that it causes. */
  echoMs: number;
  /** Of each request. */
  latencyMs: number;
  /** Of each write in a request. Default 0. */
  updateMs?: number;
}

export interface FloodResult {
  /** Until the last contact is right. */
  requests: number;
  /** Of them, writes that are not full. */
  partial: number;
  /** Until the last contact is right. */
  ms: number;
  /** Of all events, until none is left. */
  deferrals: number;
}

const RATE = 2;
const BURST = 50;
const WRITES_PER_REQUEST = 50;
const CONCURRENT_REQUESTS = 4;
const TIERS = [5_000, 30_000, 120_000];
const TICK_MS = 50;
const MAX_MS = 600_000;

/**
 * A portal whose contacts all change at once, a handler that corrects them, and a bus with one shard, by the clock of
 * jest's fake timers: no load of a machine has a part in it.
 */
export async function runFlood(options: FloodOptions): Promise<FloodResult> {
  const startedAt = Date.now();
  const portal = new FloodedPortal(options);
  const bus = new ModelBus();
  portal.onEvent = (contact) => bus.publish(contact, options.echoMs);
  const handle = async ({ entries, hasMore }: PortalBatch): Promise<PostponedEntry[]> => {
    const wrong = await portal.read(entries.flatMap(({ entityId }) => entityId ?? []));
    const isMore = hasMore?.(wrong.length < WRITES_PER_REQUEST ? WRITES_PER_REQUEST / 2 : 1);
    const left = isMore ? wrong.splice(wrong.length - (wrong.length % WRITES_PER_REQUEST)) : [];
    await portal.writeAll(wrong);
    return left.map((id) => ({ entity: `CRMCONTACT:${id}`, isPostponed: true }));
  };
  const dispatcher = new Dispatcher({
    consumer: 'test',
    handlers: [{ names: ['ONCRMCONTACTUPDATE'], merge: true, maxEntries: 2_500, handle }],
    log: silentLog,
    crashLog: new MemoryCrashLog(),
  });

  let sent = 0;
  for (let now = 0; !portal.isRight || !bus.isEmpty; now += TICK_MS) {
    if (now > MAX_MS) throw new Error('The contacts are not right, or events are lost');
    const due = Math.min(1, (now + TICK_MS) / options.arriveWithinMs) * options.contacts;
    for (; sent + 1 <= due; sent++) bus.publish(String(sent + 1), 0);
    bus.deliver(dispatcher, (options.deliveriesPerSecond * TICK_MS) / 1_000);
    await jest.advanceTimersByTimeAsync(TICK_MS);
  }
  await dispatcher.drain();
  return {
    requests: portal.requestsUntilRight,
    partial: portal.partial,
    ms: portal.rightAt - startedAt,
    deferrals: bus.deferrals,
  };
}

/** Lets requests in like Bitrix24, except that it lets them wait where Bitrix24 would reject them. */
class FloodedPortal {
  onEvent: (contact: string) => void = () => undefined;
  partial = 0;
  requestsUntilRight = 0;
  /** By the clock. */
  rightAt = 0;
  private readonly wrong: Set<string>;
  private level = 0;
  private leakedAt = Date.now();

  constructor(private readonly options: FloodOptions) {
    this.wrong = new Set(Array.from({ length: options.contacts }, (_, index) => String(index + 1)));
  }

  get isRight(): boolean {
    return this.wrong.size === 0;
  }

  /** @returns those that are wrong */
  async read(ids: readonly string[]): Promise<string[]> {
    await this.request();
    return ids.filter((id) => this.wrong.has(id));
  }

  async writeAll(ids: readonly string[]): Promise<void> {
    const left = [...ids];
    const writeNext = async (): Promise<void> => {
      while (left.length > 0) await this.write(left.splice(0, WRITES_PER_REQUEST));
    };
    await Promise.all(Array.from({ length: CONCURRENT_REQUESTS }, writeNext));
  }

  private async write(ids: readonly string[]): Promise<void> {
    if (ids.length < WRITES_PER_REQUEST) this.partial += 1;
    await this.request((this.options.updateMs ?? 0) * ids.length);
    for (const id of ids) {
      this.wrong.delete(id);
      this.onEvent(id);
    }
    this.rightAt = Date.now();
  }

  private async request(processingMs = 0): Promise<void> {
    if (!this.isRight) this.requestsUntilRight += 1;
    const now = Date.now();
    this.level = Math.max(0, this.level - ((now - this.leakedAt) / 1_000) * RATE) + 1;
    this.leakedAt = now;
    const waitMs = (Math.max(0, this.level - BURST) / RATE) * 1_000;
    await new Promise((resolve) => setTimeout(resolve, waitMs + this.options.latencyMs + processingMs));
  }
}

class ModelBus {
  private readonly queue: PortalEvent[] = [];
  private readonly later = new Set<{ at: number; event: PortalEvent }>();
  private unsettled = 0;
  deferrals = 0;
  private credit = 0;

  get isEmpty(): boolean {
    return this.queue.length + this.later.size + this.unsettled === 0;
  }

  publish(entityId: string, afterMs: number): void {
    this.later.add({ at: Date.now() + afterMs, event: anEvent({ entityId, receivedAt: Date.now() }) });
  }

  /** @param max to which what was not used before is added */
  deliver(dispatcher: Dispatcher, max: number): void {
    for (const waiting of this.later) {
      if (waiting.at > Date.now()) continue;
      this.later.delete(waiting);
      this.queue.push(waiting.event);
    }
    this.credit = Math.min(this.credit + max, DEFAULT_PREFETCH);
    while (this.credit >= 1 && this.unsettled < DEFAULT_PREFETCH) {
      const event = this.queue.shift();
      if (!event) break;
      this.credit -= 1;
      this.unsettled += 1;
      dispatcher.receive({ event, receipt: this.receiptOf(event) });
    }
  }

  private receiptOf(event: PortalEvent): Receipt {
    const end = async (): Promise<void> => {
      this.unsettled -= 1;
    };
    const deliverAgain = async (afterMs: number): Promise<void> => {
      this.unsettled -= 1;
      this.deferrals += 1;
      const tierMs = TIERS.find((each) => each >= afterMs) ?? afterMs;
      this.later.add({ at: Date.now() + tierMs, event });
    };
    return {
      attempts: 0,
      deliveryCount: 0,
      firstFailedAt: undefined,
      lost: false,
      done: end,
      dead: end,
      retry: deliverAgain,
      defer: deliverAgain,
    };
  }
}
