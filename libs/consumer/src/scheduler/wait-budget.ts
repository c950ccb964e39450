/**
 * Limits how long lanes wait for a portal that is throttled or down. No lane waits longer than the budget in total:
 * RabbitMQ gives a shard to another process only when this one has settled all of it.
 */
export class WaitBudget {
  /** By portal, in milliseconds: since when its lane has waited without a batch that got through. */
  private readonly sinceByPortal = new Map<string, number>();

  constructor(readonly maxMs: number) {}

  since(memberId: string): number | undefined {
    return this.sinceByPortal.get(memberId);
  }

  /** Whether the lane may wait this long on top of what it has waited; else its wait in this process ends. */
  extend(memberId: string, waitMs: number, now: number): boolean {
    const since = this.sinceByPortal.get(memberId) ?? now;
    const mayWait = now + waitMs - since <= this.maxMs;
    if (mayWait) this.sinceByPortal.set(memberId, since);
    else this.sinceByPortal.delete(memberId);
    return mayWait;
  }

  end(memberId: string): void {
    this.sinceByPortal.delete(memberId);
  }
}
