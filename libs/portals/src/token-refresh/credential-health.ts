/**
 * Detects a portal that rejects its stored token although the OAuth server has not invalidated the pair: its user or
 * the application is gone. One rejection proves nothing, so pending work waits; after half an hour of rejections the
 * portal becomes `needs-reauth`, which operators see. An hourly probe detects a portal that was wrong.
 */
import type { Log } from '@relay/platform';
import type { DataSource, EntityManager } from 'typeorm';
import { lockPortal } from '../repository/credentials.js';
import { NOT_SUSPENDED, PortalEntity } from '../database/entities.js';
import { countChanged, inTransaction, queryRows } from '../database/sql.js';
import { notify } from '../database/postgres-listener.js';

interface CredentialHealthTimings {
  /** How long a portal must reject its token before it becomes `needs-reauth`. */
  readonly rejectionGraceMs: number;
  /** Interval between probes with a rejected token. */
  readonly probeEveryMs: number;
}

export class CredentialHealth {
  constructor(
    private readonly dataSource: DataSource,
    private readonly log: Log,
    private readonly timings: CredentialHealthTimings,
  ) {}

  /** The portal has rejected the stored token. */
  async rejected(memberId: string): Promise<void> {
    const { rejectionGraceMs, probeEveryMs } = this.timings;
    const [row] = await queryRows<{ isLong: boolean }>(
      this.dataSource,
      `UPDATE portals.credentials SET refused_since = coalesce(refused_since, clock_timestamp())
       WHERE member_id = $1 AND kind = 'oauth'
       RETURNING refused_since <= clock_timestamp() - make_interval(secs => $2) AS "isLong"`,
      [memberId, rejectionGraceMs / 1_000],
    );
    if (row?.isLong !== true) return;
    const isMarked = await inTransaction(this.dataSource, async (manager) => {
      const portal = await lockPortal(manager, memberId);
      if (portal?.state !== 'installed') return false;
      // A pair stored meanwhile has no rejections.
      const stillRejected = await countChanged(
        manager,
        `UPDATE portals.credentials SET next_probe_at = clock_timestamp() + make_interval(secs => $2)
         WHERE member_id = $1 AND refused_since IS NOT NULL`,
        [memberId, probeEveryMs / 1_000],
      );
      if (stillRejected === 0) return false;
      await manager.update(PortalEntity, { memberId }, { state: 'needs-reauth', ...NOT_SUSPENDED });
      await notify(manager, 'portals', memberId);
      return true;
    });
    if (isMarked) {
      this.log.warn(
        { event: 'portal.needs_reauth', memberId, code: 'TOKEN_REFUSED' },
        'the portal keeps rejecting its token; it has to authorize the application again',
      );
    }
  }

  /**
   * Whether one probe of a portal in `needs-reauth` is due; only if rejections alone were the reason for that state.
   */
  async admitProbe(memberId: string): Promise<boolean> {
    const count = await countChanged(
      this.dataSource,
      `UPDATE portals.credentials SET next_probe_at = clock_timestamp() + make_interval(secs => $2)
       WHERE member_id = $1 AND refused_since IS NOT NULL AND next_probe_at <= clock_timestamp()`,
      [memberId, this.timings.probeEveryMs / 1_000],
    );
    return count > 0;
  }

  /** The portal has accepted the stored token. */
  async accepted(memberId: string): Promise<void> {
    const isHealed = await inTransaction(this.dataSource, async (manager) => {
      const portal = await lockPortal(manager, memberId);
      const [before] = await queryRows<{ wasRejected: boolean }>(
        manager,
        `UPDATE portals.credentials new SET accepted_at = clock_timestamp(), refused_since = NULL, next_probe_at = NULL
         FROM portals.credentials old WHERE new.member_id = $1 AND old.member_id = $1
         RETURNING old.refused_since IS NOT NULL AS "wasRejected"`,
        [memberId],
      );
      if (portal?.state !== 'needs-reauth' || before?.wasRejected !== true) return false;
      await manager.update(PortalEntity, { memberId }, { state: 'installed' });
      await notify(manager, 'portals', memberId);
      return true;
    });
    if (isHealed) this.log.info({ memberId }, 'the portal accepts its token again');
  }
}

/** The pair is certainly invalid, so there is nothing to probe. */
export async function resetRejections(manager: EntityManager, memberId: string): Promise<void> {
  await manager.query(
    'UPDATE portals.credentials SET refused_since = NULL, next_probe_at = NULL WHERE member_id = $1',
    [memberId],
  );
}
