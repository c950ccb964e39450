import type { Log } from '@relay/platform';
import type { Failure, Receipt } from '../event-bus.js';
import { deadTotal, retriedTotal } from '../metrics.js';
import { tierFor, tierName } from '../retry-delays.js';
import type { Settlement } from './settlements.js';

/** Shared by all receipts of one session. */
export interface SettleContext {
  readonly consumer: string;
  readonly log: Log;
  readonly retryDelaysMs: readonly number[];
  /** False once the session has ended: its leases are gone, and the rows that it took belong to another process. */
  readonly open: boolean;
  /** Resolves when the settlement is written, or when the session has ended instead; never rejects. */
  settle(shard: number, settlement: Settlement): Promise<void>;
}

export interface TakenRow {
  id: string;
  shard: number;
  attempts: number;
  deliveryCount: number;
  firstFailedAt: number | undefined;
}

export class PostgresReceipt implements Receipt {
  private settled = false;

  constructor(
    private readonly context: SettleContext,
    private readonly row: TakenRow,
  ) {}

  get attempts(): number {
    return this.row.attempts;
  }
  get deliveryCount(): number {
    return this.row.deliveryCount;
  }
  get firstFailedAt(): number | undefined {
    return this.row.firstFailedAt;
  }
  get lost(): boolean {
    return !this.context.open;
  }

  async done(): Promise<void> {
    await this.settle({ kind: 'done', id: this.row.id });
  }

  async retry(
    afterMs: number,
    { code }: Failure,
    { countsAsAttempt = true }: { countsAsAttempt?: boolean } = {},
  ): Promise<void> {
    await this.comeBack(afterMs, { failedAttempts: countsAsAttempt ? 1 : 0, failed: true, code });
  }

  async defer(afterMs: number, code?: string): Promise<void> {
    await this.comeBack(afterMs, { failedAttempts: 0, failed: false, code: code ?? null });
  }

  async dead(failure: Failure): Promise<void> {
    const { consumer, log } = this.context;
    if (!(await this.settle({ kind: 'dead', id: this.row.id, failure }))) return;
    deadTotal.inc({ consumer });
    log.error({ consumer, messageId: this.row.id, failure }, 'a message went to the dead letters');
  }

  private async comeBack(
    afterMs: number,
    history: { failedAttempts: number; failed: boolean; code: string | null },
  ): Promise<void> {
    const { consumer, retryDelaysMs } = this.context;
    const delayMs = tierFor(afterMs, retryDelaysMs);
    if (await this.settle({ kind: 'retry', id: this.row.id, afterMs: delayMs, ...history })) {
      retriedTotal.inc({ consumer, tier: tierName(delayMs) });
    }
  }

  private async settle(settlement: Settlement): Promise<boolean> {
    if (this.settled || this.lost) return false;
    this.settled = true;
    await this.context.settle(this.row.shard, settlement);
    return !this.lost;
  }
}
