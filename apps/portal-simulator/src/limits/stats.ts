/** Counters of one portal: `GET /_sim/portals/<name>/stats`. */
export class Stats {
  /** HTTP requests to REST, rejected ones included. */
  private requests = 0;
  /** Requests that the bucket rejected. */
  private refusals = 0;
  /** Refresh tokens exchanged. */
  private tokenRefreshes = 0;
  private readonly byAddress = new Map<string, { requests: number; refusals: number }>();
  private readonly calls = new Map<string, number>();
  private sent = 0;
  private readonly answers = new Map<string, number>();
  private readonly names = new Map<string, number>();

  countRequest(address: string): void {
    this.requests += 1;
    this.countsOf(address).requests += 1;
  }

  countRejection(address: string): void {
    this.refusals += 1;
    this.countsOf(address).refusals += 1;
  }

  countCall(method: string): void {
    increment(this.calls, method);
  }

  countTokenRefresh(): void {
    this.tokenRefreshes += 1;
  }

  countEvent(event: string, answer: string): void {
    this.sent += 1;
    increment(this.names, event);
    increment(this.answers, answer);
  }

  read(pending: number) {
    return {
      requests: this.requests,
      calls: Object.fromEntries(this.calls),
      refusals: this.refusals,
      addresses: Object.fromEntries(this.byAddress),
      renewals: this.tokenRefreshes,
      events: {
        sent: this.sent,
        pending,
        answers: Object.fromEntries(this.answers),
        names: Object.fromEntries(this.names),
      },
    };
  }

  reset(): void {
    this.requests = this.refusals = this.tokenRefreshes = this.sent = 0;
    for (const counts of [this.byAddress, this.calls, this.answers, this.names]) counts.clear();
  }

  private countsOf(address: string) {
    let counts = this.byAddress.get(address);
    if (!counts) this.byAddress.set(address, (counts = { requests: 0, refusals: 0 }));
    return counts;
  }
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
