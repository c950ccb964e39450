import { Inject, Injectable } from '@nestjs/common';
import { CONSUMER_LOG } from '@relay/consumer';
import type { Log } from '@relay/platform';
import type { MirroredType } from '../types/type-store.js';
import { ViewStore } from './view-store.js';

/** Counts the values that do not fit the typed views, after all items of a type have been looked at. */
@Injectable()
export class Misfits {
  constructor(
    private readonly views: ViewStore,
    @Inject(CONSUMER_LOG) private readonly log: Log,
  ) {}

  /** A count that fails, of millions of items say, takes nothing from the mirror. */
  async count(memberId: string, types: readonly MirroredType[]): Promise<void> {
    for (const type of types) {
      const { entityTypeId } = type;
      try {
        const misfits = await this.views.countMisfits({ ...type, memberId });
        if (Object.keys(misfits).length === 0) continue;
        this.log.warn({ memberId, entityTypeId, misfits }, 'values that do not fit the view are null there');
      } catch (err) {
        this.log.warn({ memberId, entityTypeId, err }, 'values that do not fit the view were not counted');
      }
    }
  }
}
