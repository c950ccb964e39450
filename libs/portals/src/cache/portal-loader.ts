import { timeout, TimeoutStrategy, type TimeoutPolicy } from 'cockatiel';
import type { DataSource } from 'typeorm';
import type { PortalState } from '../database/entities.js';
import { queryRows } from '../database/sql.js';

/** The data of a portal that the gateway needs to authenticate an event, and that consumers use. */
export interface KnownPortal {
  memberId: string;
  domain: string;
  clientEndpoint: string;
  state: PortalState;
  /** SHA-256 of each application token, 32 bytes. */
  tokenHashes: Buffer[];
  /** The subset of the application's own tokens, without those of outgoing webhooks. */
  appTokenHashes: Buffer[];
  language: string | null;
  /** Operator settings by consumer; read through `PortalSettings`. */
  settings: Record<string, unknown>;
}

export type LoadPortals = (memberIds: string[]) => Promise<KnownPortal[]>;

/** One query for any number of portals; unknown ones are absent from the result. */
export function loadPortalsFrom(dataSource: DataSource): LoadPortals {
  return (memberIds) =>
    queryRows<KnownPortal>(
      dataSource,
      `SELECT member_id AS "memberId", domain, client_endpoint AS "clientEndpoint", state, language, settings,
         ARRAY(SELECT hash FROM portals.application_tokens t WHERE t.member_id = p.member_id) AS "tokenHashes",
         ARRAY(SELECT hash FROM portals.application_tokens t
               WHERE t.member_id = p.member_id AND t.kind = 'app') AS "appTokenHashes"
       FROM portals.portals p WHERE member_id = ANY($1)`,
      [memberIds],
    );
}

/** The callers that wait for one portal. */
class Waiting {
  resolve: (portal: KnownPortal | undefined) => void;
  reject: (error: unknown) => void;
  readonly result = new Promise<KnownPortal | undefined>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

const BATCH_SIZE = 500;
/** A hanging database must not delay an event for longer; the next batch then uses its own query. */
const ANSWER_TIMEOUT_MS = 2_000;

/**
 * Batch loader (as DataLoader): one query at a time, and all concurrent callers share the next one. A flood of events
 * of unknown members costs the database one connection and at most a few hundred queries per second.
 */
export class PortalLoader {
  private readonly waiting = new Map<string, Waiting>();
  private readonly timeout: TimeoutPolicy;
  private busy = false;

  constructor(
    private readonly readPortals: LoadPortals,
    timeoutMs = ANSWER_TIMEOUT_MS,
  ) {
    this.timeout = timeout(timeoutMs, TimeoutStrategy.Aggressive);
  }

  load(memberId: string): Promise<KnownPortal | undefined> {
    const waiting = this.waiting.get(memberId) ?? new Waiting();
    this.waiting.set(memberId, waiting);
    if (!this.busy) void this.readAll();
    return waiting.result;
  }

  private async readAll(): Promise<void> {
    this.busy = true;
    while (this.waiting.size > 0) await this.readBatch(this.takeBatch());
    this.busy = false;
  }

  private takeBatch(): Map<string, Waiting> {
    const batch = new Map([...this.waiting].slice(0, BATCH_SIZE));
    for (const memberId of batch.keys()) this.waiting.delete(memberId);
    return batch;
  }

  private async readBatch(batch: Map<string, Waiting>): Promise<void> {
    try {
      const portals = await this.timeout.execute(() => this.readPortals([...batch.keys()]));
      const found = new Map(portals.map((portal) => [portal.memberId, portal]));
      for (const [memberId, waiting] of batch) waiting.resolve(found.get(memberId));
    } catch (error) {
      for (const waiting of batch.values()) waiting.reject(error);
    }
  }
}
