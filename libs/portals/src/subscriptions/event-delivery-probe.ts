import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { DataSource } from 'typeorm';

/** `sent_by` of our test events: nobody subscribes to them, and gateways do not publish them. */
export const TEST_SENDER = 'b24-relay';

const TIMEOUT_MS = 15_000;
/** The operator has to change something meanwhile. */
const BY_HAND_TIMEOUT_MS = 60_000;
const POLL_MS = 150;
/** A gateway that missed the notification of a test knows of it after this time. */
const REFRESH_MS = 2_000;

/** `PortalClients`. */
interface TestedPortals {
  for(memberId: string): { call(method: string, params: { sent_by: string }): Promise<unknown> };
}

/**
 * Tests the delivery of events: with `event.test` the portal sends ONAPPTEST to our handler, like any other event
 * (api-reference/events/test-handler.md). Without an application, any event counts. The database connects the control
 * plane, which begins a test, with whichever gateway gets the event.
 */
export class EventDeliveryProbe {
  constructor(
    private readonly dataSource: DataSource,
    private readonly clients: TestedPortals,
  ) {}

  /** @returns milliseconds until the event came; undefined after the timeout. @throws Bitrix24Error */
  async probe(memberId: string): Promise<number | undefined> {
    return this.waitFor(memberId, 'ONAPPTEST', TIMEOUT_MS, async () => {
      await this.clients.for(memberId).call('event.test', { sent_by: TEST_SENDER });
    });
  }

  /** Like `probe`, for any event, which a person causes. */
  async waitForAny(memberId: string): Promise<number | undefined> {
    return this.waitFor(memberId, null, BY_HAND_TIMEOUT_MS, () => Promise.resolve());
  }

  private async waitFor(
    memberId: string,
    name: string | null,
    timeoutMs: number,
    begin: () => Promise<void>,
  ): Promise<number | undefined> {
    const id = randomUUID();
    await this.dataSource.query(
      `INSERT INTO portals.event_tests (member_id, id, name, begun_at, expires_at)
       SELECT member_id, $2, $3, clock_timestamp(), clock_timestamp() + make_interval(secs => $4 / 1000.0)
       FROM portals.portals WHERE member_id = $1
       ON CONFLICT (member_id) DO UPDATE SET id = excluded.id, name = excluded.name, begun_at = excluded.begun_at,
         expires_at = excluded.expires_at, arrived_at = NULL`,
      [memberId, id, name, timeoutMs],
    );
    const deadline = performance.now() + timeoutMs;
    try {
      await begin();
      while (performance.now() < deadline) {
        const arrivedAfterMs = await this.arrivedAfterMs(id);
        if (arrivedAfterMs !== undefined) return arrivedAfterMs;
        await pause(POLL_MS);
      }
      return undefined;
    } finally {
      await this.dataSource.query('DELETE FROM portals.event_tests WHERE id = $1', [id]);
    }
  }

  private async arrivedAfterMs(id: string): Promise<number | undefined> {
    const [row] = await this.dataSource.query<{ afterMs: number | null }[]>(
      `SELECT round(extract(epoch FROM arrived_at - begun_at) * 1000)::int AS "afterMs"
       FROM portals.event_tests WHERE id = $1`,
      [id],
    );
    return row?.afterMs ?? undefined;
  }
}

/** The gateway's half: which portals are tested now, and the note of an arrival. */
export class AwaitedEvents {
  /** Names by portal; null: any event. */
  private awaited = new Map<string, string | null>();
  private readonly noting = new Set<string>();

  constructor(private readonly dataSource: DataSource) {}

  /** How often `refresh` is to be called. */
  readonly refreshMs = REFRESH_MS;

  async refresh(): Promise<void> {
    const rows = await this.dataSource.query<{ memberId: string; name: string | null }[]>(
      `SELECT member_id AS "memberId", name FROM portals.event_tests
       WHERE arrived_at IS NULL AND expires_at > clock_timestamp()`,
    );
    this.awaited = new Map(rows.map(({ memberId, name }) => [memberId, name]));
  }

  /** Whether `onEvent` would look in the database. */
  isAwaited(memberId: string, name: string): boolean {
    const awaited = this.awaited.get(memberId);
    return awaited === undefined ? name === 'ONAPPTEST' : awaited === null || awaited === name;
  }

  /**
   * Costs nothing for the event of a portal that is not tested. The portal's test event may be faster than `refresh`, so
   * it is looked up: one query at a time for each portal.
   * @throws what the database throws
   */
  async onEvent(memberId: string, name: string): Promise<void> {
    if (!this.isAwaited(memberId, name) || this.noting.has(memberId)) return;
    this.noting.add(memberId);
    try {
      await this.dataSource.query(
        `UPDATE portals.event_tests SET arrived_at = clock_timestamp()
         WHERE member_id = $1 AND (name IS NULL OR name = $2) AND arrived_at IS NULL AND expires_at > clock_timestamp()`,
        [memberId, name],
      );
      this.awaited.delete(memberId);
    } finally {
      this.noting.delete(memberId);
    }
  }
}
