import { Inject, Injectable } from '@nestjs/common';
import { CONSUMER_LOG } from '@relay/consumer';
import type { Log } from '@relay/platform';
import type { JobProgress, JobRun } from '@relay/jobs';
import { TypeStore } from '../types/type-store.js';
import { ViewStore } from './view-store.js';

/**
 * Counts the values that do not fit the typed views. A separate job, after a backfill or a reconciliation: it reads every
 * value, which takes longer than to store it.
 */
@Injectable()
export class CastFailures {
  constructor(
    private readonly types: TypeStore,
    private readonly views: ViewStore,
    @Inject(CONSUMER_LOG) private readonly log: Log,
  ) {}

  /** A failed count, of millions of items say, does not affect the mirror. */
  async count({ task: { memberId }, signal }: JobRun): Promise<JobProgress> {
    for (const type of await this.types.all(memberId)) {
      if (type.state !== 'mirrored') continue;
      signal.throwIfAborted();
      const { entityTypeId } = type;
      try {
        const misfits = await this.views.countCastFailures({ ...type, memberId }, { signal });
        if (Object.keys(misfits).length === 0) continue;
        this.log.warn({ memberId, entityTypeId, misfits }, 'values that do not fit the view are null there');
      } catch (err) {
        signal.throwIfAborted();
        this.log.warn({ memberId, entityTypeId, err }, 'values that do not fit the view were not counted');
      }
    }
    return {};
  }
}
