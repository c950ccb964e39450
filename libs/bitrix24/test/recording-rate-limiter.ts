import {
  canBeSent,
  type MethodUsage,
  type Priority,
  type RateLimiter,
  type RequestToAdmit,
  type Throttled,
} from '../src/rate-limit/rate-limiter.js';

/** Rate limiter that admits everything except the configured throttled methods, and records its calls in order. */
export class RecordingRateLimiter implements RateLimiter {
  /** With the methods that were admitted. */
  readonly admitted: { priority: Priority; methods: readonly string[] }[] = [];
  asked = 0;
  readonly observed: MethodUsage[] = [];
  rejections = 0;
  /** Milliseconds by method in lower case. */
  pauses = new Map<string, number>();

  admit(request: RequestToAdmit): Promise<Throttled> {
    const { priority, methods, optional = [] } = request;
    this.asked += 1;
    const all = [...optional, ...methods];
    const throttled = new Map([...this.pauses].filter(([method]) => all.includes(method)));
    if (canBeSent(request, throttled)) {
      this.admitted.push({ priority, methods: all.filter((method) => !throttled.has(method)) });
    }
    return Promise.resolve(throttled);
  }

  rejected(): Promise<void> {
    this.rejections += 1;
    return Promise.resolve();
  }

  observe(usage: readonly MethodUsage[]): Promise<void> {
    this.observed.push(...usage);
    return Promise.resolve();
  }
}
