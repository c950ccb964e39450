import { Inject, Injectable } from '@nestjs/common';
import { CONSUMER_LOG } from '@relay/consumer';
import type { Log } from '@relay/platform';
import { PortalCache } from '@relay/portals';
import type { MirroredType } from '../smart-process-types/type-store.js';
import { ViewStore } from './view-store.js';

/** About half a second of work: the caller has other work. */
const GUARD_BATCH_SIZE = 100;

/** Updates a portal's views to its types; one that cannot be created now does not block the others. */
@Injectable()
export class ViewSynchronizer {
  constructor(
    private readonly portalCache: PortalCache,
    private readonly views: ViewStore,
    @Inject(CONSUMER_LOG) private readonly log: Log,
  ) {}

  async sync(memberId: string, types: readonly MirroredType[]): Promise<void> {
    const portal = await this.portalCache.find(memberId);
    for (const type of types) {
      const outcome = await this.views.refresh({ ...type, memberId, domain: portal?.domain ?? memberId });
      const { entityTypeId } = type;
      if (outcome.result === 'failed') {
        this.log.warn(
          { event: 'sync.view.update_failed', memberId, entityTypeId, err: outcome.error },
          'a view could not be changed and stays as it was',
        );
      } else if (outcome.result !== 'unchanged') {
        this.log.info({ memberId, entityTypeId, view: `mirror.${outcome.name}` }, `view ${outcome.result}`);
      }
    }
  }

  /**
   * Adds the barrier to some views of an older version, which otherwise get it with their next change.
   * @returns whether all have it, more remain, or one could not be changed now
   */
  async guardOld(): Promise<'done' | 'more' | 'failed'> {
    const names = await this.views.unguarded(GUARD_BATCH_SIZE);
    let failed = 0;
    for (const name of names) {
      try {
        await this.views.guard(name);
      } catch (err) {
        failed += 1;
        this.log.warn(
          { event: 'sync.view.barrier_failed', view: `mirror.${name}`, err },
          'the security barrier of a view could not be set; retrying later',
        );
      }
    }
    if (names.length === GUARD_BATCH_SIZE && failed < names.length) return 'more';
    return failed > 0 ? 'failed' : 'done';
  }

  async remove(memberId: string, entityTypeId: number): Promise<void> {
    try {
      await this.views.remove(memberId, entityTypeId);
    } catch (err) {
      this.log.warn(
        { event: 'sync.view.drop_failed', memberId, entityTypeId, err },
        'the view of a type that is no longer mirrored could not be dropped',
      );
    }
  }
}
