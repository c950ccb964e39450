export interface EventQueueOptions<E> {
  /** How many handlers are called at once; a slow one is therefore called less often. */
  concurrency: () => number;
  /** Sends one event. Whatever comes of it, it is not sent again (api-reference/events/index.md). */
  send: (event: E) => Promise<void>;
}

/** One portal's queue of online events: in order, bounded, without a retry. */
export class EventQueue<E> {
  private waiting: E[] = [];
  private next = 0;
  private inFlight = 0;
  private isStopped = false;

  constructor(private readonly options: EventQueueOptions<E>) {}

  /** Events that are waiting or being sent. */
  get pending(): number {
    return this.waiting.length - this.next + this.inFlight;
  }

  push(event: E): void {
    if (this.isStopped) return;
    this.waiting.push(event);
    setImmediate(() => {
      this.pump();
    });
  }

  stop(): void {
    this.isStopped = true;
    this.waiting = [];
    this.next = 0;
  }

  private pump(): void {
    while (this.inFlight < this.options.concurrency()) {
      const event = this.take();
      if (event === undefined) return;
      this.inFlight += 1;
      void this.options.send(event).finally(() => {
        this.inFlight -= 1;
        this.pump();
      });
    }
  }

  private take(): E | undefined {
    const event = this.waiting[this.next];
    if (event === undefined) return undefined;
    this.next += 1;
    if (this.next === this.waiting.length) {
      this.waiting = [];
      this.next = 0;
    } else if (this.next >= 4096) {
      this.waiting = this.waiting.slice(this.next);
      this.next = 0;
    }
    return event;
  }
}
