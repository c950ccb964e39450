import { EventEmitter } from 'node:events';

/** Delays REST responses of a portal. */
export class Latency {
  private readonly changes = new EventEmitter().setMaxListeners(0);

  constructor(private readonly settings: { readonly latencyMs: number }) {}

  /** Applies a changed `latencyMs` to responses that are delayed already: lowered to 0, it releases them. */
  apply(): void {
    this.changes.emit('change');
  }

  /** @param moreMs delay of this response beside `latencyMs` */
  async delay(moreMs: number): Promise<void> {
    const arrivedMs = performance.now();
    for (;;) {
      const restMs = arrivedMs + this.settings.latencyMs + moreMs - performance.now();
      if (restMs <= 0) return;
      await new Promise<void>((resolve) => {
        const goOn = (): void => {
          clearTimeout(timer);
          this.changes.off('change', goOn);
          resolve();
        };
        // The timer keeps no process alive: a simulator that closes ends its connections.
        const timer = setTimeout(goOn, Math.ceil(restMs)).unref();
        this.changes.on('change', goOn);
      });
    }
  }
}
