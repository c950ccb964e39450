import type { MethodUsage, RateLimiter, Priority } from '../src/rate-limit/rate-limiter.js';

/** Rate limiter that admits everything and records its calls, in order. */
export class RecordingRateLimiter implements RateLimiter {
  readonly admitted: { work: Priority; methods: readonly string[] }[] = [];
  readonly asked: (readonly string[])[] = [];
  readonly observed: MethodUsage[] = [];
  refusals = 0;
  /** Milliseconds by method in lower case. */
  pauses = new Map<string, number>();

  throttled(methods: readonly string[]): Promise<ReadonlyMap<string, number>> {
    this.asked.push(methods);
    return Promise.resolve(new Map([...this.pauses].filter(([method]) => methods.includes(method))));
  }

  admit(request: { work: Priority; methods: readonly string[] }): Promise<void> {
    this.admitted.push(request);
    return Promise.resolve();
  }

  refused(): Promise<void> {
    this.refusals += 1;
    return Promise.resolve();
  }

  observe(usage: readonly MethodUsage[]): Promise<void> {
    this.observed.push(...usage);
    return Promise.resolve();
  }
}
