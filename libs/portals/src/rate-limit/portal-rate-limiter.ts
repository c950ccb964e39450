import { type RateLimiter, DistributedRateLimiter } from '@relay/bitrix24';
import type { Log } from '@relay/platform';
import type { DataSource } from 'typeorm';
import { DatabaseBucket } from './database-bucket.js';
import { DatabaseOperatingTimes } from './database-operating-times.js';
import { bucketWaitSeconds, refusedTotal } from './metrics.js';

/** Rate limiters of all portals, distributed over all processes through the database. */
export class PortalRateLimiter {
  private readonly rateLimiters = new Map<string, RateLimiter>();
  private readonly operatingTimes: DatabaseOperatingTimes;

  constructor(
    private readonly dataSource: DataSource,
    private readonly log: Log,
  ) {
    this.operatingTimes = new DatabaseOperatingTimes(dataSource, log);
  }

  /** The portal's rate limiter, one per process, which holds the process's queue of bulk requests. */
  of(memberId: string): RateLimiter {
    let rateLimiter = this.rateLimiters.get(memberId);
    if (!rateLimiter) this.rateLimiters.set(memberId, (rateLimiter = this.open(memberId)));
    return rateLimiter;
  }

  private open(memberId: string): RateLimiter {
    const bucket = new DatabaseBucket(this.dataSource, memberId, this.log);
    const rateLimiter = new DistributedRateLimiter(bucket, this.operatingTimes.of(memberId));
    return {
      throttled: (methods, signal) => rateLimiter.throttled(methods, signal),
      observe: (usage) => rateLimiter.observe(usage),
      admit: async (request, signal) => {
        const waited = bucketWaitSeconds.startTimer({ work: request.work });
        await rateLimiter.admit(request, signal);
        waited();
      },
      refused: async () => {
        refusedTotal.inc();
        await rateLimiter.refused();
      },
    };
  }
}
