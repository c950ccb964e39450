import type { RateLimiter } from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { DataSource } from 'typeorm';
import { WeakValues } from '../cache/weak-values.js';
import { DatabaseBucket } from './database-bucket.js';
import { DatabaseOperatingTimes } from './database-operating-times.js';
import { DistributedRateLimiter } from './distributed-rate-limiter.js';

/** Rate limiters of all portals, distributed over all processes through the database. */
export class PortalRateLimiter {
  private readonly rateLimiters = new WeakValues<RateLimiter>();
  private readonly operatingTimes: DatabaseOperatingTimes;

  constructor(
    private readonly dataSource: DataSource,
    private readonly log: Log,
  ) {
    this.operatingTimes = new DatabaseOperatingTimes(dataSource, log);
  }

  /**
   * The portal's rate limiter, which holds the process's queue of background requests: the same one for everybody as long as
   * somebody keeps it.
   */
  of(memberId: string): RateLimiter {
    return this.rateLimiters.getOrCreate(memberId, () => {
      const bucket = new DatabaseBucket(this.dataSource, memberId, this.log);
      return new DistributedRateLimiter(bucket, this.operatingTimes.of(memberId));
    });
  }
}
