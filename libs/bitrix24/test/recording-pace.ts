import type { MethodUsage, Pace, Work } from '../src/pace/pace.js';

/** Admits everything, and remembers what it was told, in order. */
export class RecordingPace implements Pace {
  readonly admitted: { work: Work; methods: readonly string[] }[] = [];
  readonly asked: (readonly string[])[] = [];
  readonly observed: MethodUsage[] = [];
  refusals = 0;
  /** Milliseconds by method in lower case. */
  pauses = new Map<string, number>();

  paused(methods: readonly string[]): Promise<ReadonlyMap<string, number>> {
    this.asked.push(methods);
    return Promise.resolve(new Map([...this.pauses].filter(([method]) => methods.includes(method))));
  }

  admit(request: { work: Work; methods: readonly string[] }): Promise<void> {
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
