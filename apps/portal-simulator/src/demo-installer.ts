import { setTimeout as wait } from 'node:timers/promises';
import type { Log } from '@relay/platform';

const RETRY_MS = 1000;

/**
 * Installs the application into the portal `demo` when the simulator starts, and again until the address answers 200: whoever
 * starts both at once need not know which is up first. Responsible for nothing once that is done.
 */
export class DemoInstaller {
  private readonly stopping = new AbortController();
  private done = false;

  /** @param install tells of one new installation; resolves with how it was answered */
  constructor(
    private readonly install: () => Promise<string | undefined>,
    private readonly log: Log,
  ) {}

  get isDone(): boolean {
    return this.done;
  }

  async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      const answer = await this.install();
      if (answer === '200') {
        this.done = true;
        this.log.info({}, 'the application is installed in the portal demo');
        return;
      }
      this.log.warn({ answer }, 'the application is not installed in the portal demo yet');
      await wait(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  stop(): void {
    this.stopping.abort();
  }
}
