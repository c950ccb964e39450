import { createHash, randomBytes } from 'node:crypto';
import type { Actor } from '../crm/users.js';
import { userOf } from '../crm/users.js';
import type { Value, Values } from '../protocol/php.js';

/** A binding with `event_type=offline`. */
export interface OfflineHandler {
  readonly event: string;
  readonly userId: number;
  /** `auth_connector`; empty without one. */
  readonly connector: string;
}

/** One record of the queue (api-reference/events/event-offline-list.md). */
export interface OfflineRecord {
  readonly id: number;
  /** Whole seconds, as the portal's database keeps them. */
  timestampMs: number;
  readonly event: string;
  data: Value;
  additional: Value;
  /** md5 of the event's name and data. */
  readonly messageId: string;
  readonly connector: string;
  /** Empty while it is in no batch. */
  processId: string;
  isError: boolean;
  reservedAtMs: number;
}

/** Reserved records are deleted after 30 days (api-reference/events/offline-events.md). */
const RESERVED_FOR_MS = 30 * 24 * 3600 * 1000;

/** The offline handlers and records of the application at one portal. */
export class OfflineQueue {
  private bound: OfflineHandler[] = [];
  private kept: OfflineRecord[] = [];
  /** The unreserved record of each message and connector. */
  private free = new Map<string, OfflineRecord>();
  private lastId = 0;

  constructor(private readonly now: () => number) {}

  /** False if the same user has bound the same event with the same connector. */
  bind(handler: OfflineHandler): boolean {
    const { event, userId, connector } = handler;
    const isBound = this.bound.some(
      (one) => one.event === event && one.userId === userId && one.connector === connector,
    );
    if (!isBound) this.bound.push(handler);
    return !isBound;
  }

  /** @returns how many handlers were removed */
  unbind(event: string, connector: string): number {
    const before = this.bound.length;
    this.bound = this.bound.filter((one) => one.event !== event || one.connector !== connector);
    return before - this.bound.length;
  }

  /** @returns how many handlers were removed */
  unbindAll(): number {
    return this.bound.splice(0).length;
  }

  handlers(): readonly OfflineHandler[] {
    return this.bound;
  }

  /**
   * Records an event for each connector that is bound to it. An unreserved record of the same message is refreshed: its
   * ID and its error mark stay.
   * @param skips whether the change is the application's own, by the connector of the handler
   * @returns whether anything was recorded
   */
  record(event: string, data: Values, actor: Actor, skips: (connector: string) => boolean): boolean {
    const connectors = new Set(
      this.bound.filter((one) => one.event === event).map(({ connector }) => connector),
    );
    const recordedFor = [...connectors].filter((connector) => !skips(connector));
    for (const connector of recordedFor) this.add(event, data, actor, connector);
    return recordedFor.length > 0;
  }

  /** Records of a connector, without those whose reservation has expired. */
  records(connector: string): OfflineRecord[] {
    this.dropExpired();
    return this.kept.filter((record) => record.connector === connector);
  }

  all(): readonly OfflineRecord[] {
    this.dropExpired();
    return this.kept;
  }

  /** Puts the records into one batch. @returns its process id */
  reserve(records: readonly OfflineRecord[]): string {
    const processId = randomBytes(16).toString('hex');
    for (const record of records) {
      this.free.delete(keyOf(record));
      record.processId = processId;
      record.reservedAtMs = this.now();
    }
    return processId;
  }

  remove(matches: (record: OfflineRecord) => boolean): void {
    this.kept = this.kept.filter((record) => {
      if (!matches(record)) return true;
      if (this.free.get(keyOf(record)) === record) this.free.delete(keyOf(record));
      return false;
    });
  }

  /**
   * Marks these records of a batch as errors and frees them; unmarked records of the same messages outside the batch are
   * deleted, also if the batch does not exist (api-reference/events/event-offline-error.md, and the `rest` module).
   */
  fail(processId: string, connector: string, messageIds: ReadonlySet<string>): void {
    this.remove(
      (record) =>
        record.connector === connector &&
        record.processId !== processId &&
        !record.isError &&
        messageIds.has(record.messageId),
    );
    for (const record of this.records(connector)) {
      if (record.processId !== processId || !messageIds.has(record.messageId)) continue;
      record.isError = true;
      record.processId = '';
      this.free.set(keyOf(record), record);
    }
  }

  /** The application is deleted. */
  clear(): void {
    this.bound = [];
    this.kept = [];
    this.free.clear();
  }

  private add(event: string, data: Values, actor: Actor, connector: string): void {
    const messageId = createHash('md5')
      .update(`${event}|${JSON.stringify(data)}`)
      .digest('hex');
    const timestampMs = Math.floor(this.now() / 1000) * 1000;
    const known = this.free.get(`${messageId}|${connector}`);
    if (known) {
      known.timestampMs = timestampMs;
      known.data = dataOf(data);
      return;
    }
    this.lastId += 1;
    const userId = userOf(actor);
    const record: OfflineRecord = {
      id: this.lastId,
      timestampMs,
      event,
      data: dataOf(data),
      // Documented with a text and with a number, and as `false`.
      additional: userId > 0 ? { user_id: String(userId) } : { user_id: 0 },
      messageId,
      connector,
      processId: '',
      isError: false,
      reservedAtMs: 0,
    };
    this.kept.push(record);
    this.free.set(keyOf(record), record);
  }

  private dropExpired(): void {
    const limitMs = this.now() - RESERVED_FOR_MS;
    if (this.kept.some(({ processId, reservedAtMs }) => processId !== '' && reservedAtMs < limitMs)) {
      this.remove(({ processId, reservedAtMs }) => processId !== '' && reservedAtMs < limitMs);
    }
  }
}

function keyOf({ messageId, connector }: OfflineRecord): string {
  return `${messageId}|${connector}`;
}

/** The `rest` module stores an event without data as `false`. */
function dataOf(data: Values): Value {
  return Object.keys(data).length === 0 ? false : structuredClone(data);
}
