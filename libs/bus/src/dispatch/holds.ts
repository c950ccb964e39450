/**
 * How long lanes wait that cannot go on: for the portal's limit, for a portal that is down. Longer than `mostMs` in all
 * none does: RabbitMQ gives a shard to another process only when this one has settled all of it.
 */
export class Holds {
  /** By portal, milliseconds: since when its lane has waited, without a batch that got through. */
  readonly #since = new Map<string, number>();

  constructor(readonly mostMs: number) {}

  since(memberId: string): number | undefined {
    return this.#since.get(memberId);
  }

  /** Whether the lane may wait for so long, beside what it has waited; else its wait is over here. */
  extend(memberId: string, waitMs: number, now: number): boolean {
    const since = this.#since.get(memberId) ?? now;
    const mayWait = now + waitMs - since <= this.mostMs;
    if (mayWait) this.#since.set(memberId, since);
    else this.#since.delete(memberId);
    return mayWait;
  }

  end(memberId: string): void {
    this.#since.delete(memberId);
  }
}
