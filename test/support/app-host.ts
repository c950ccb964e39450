import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { eventually } from './eventually.js';
import { AppProcess } from './processes.js';

declare global {
  /** Of the spec files that ran before in this worker process (test/runner/environment.mjs). */
  var parkedAppHosts: ChildProcess[] | undefined;
}

const answer = z.object({ id: z.string(), exitCode: z.number(), error: z.string().optional() });
type Answer = z.output<typeof answer>;

/** One process of `app-host.mjs`, in which apps are started and stopped that no test kills. */
export class AppHost {
  readonly process: AppProcess;
  private readonly waiting = new Map<string, (answer: Answer) => void>();

  /** @param parked one of `park`, whose libraries are loaded and compiled already */
  constructor(parked = takeParked()) {
    const onMessage = (message: unknown): void => {
      const told = answer.parse(message);
      this.waiting.get(told.id)?.(told);
      this.waiting.delete(told.id);
    };
    this.process = parked
      ? AppProcess.attach('app-host', parked, onMessage)
      : AppProcess.start('app-host', '../test/support/app-host.mjs', {}, { onMessage });
  }

  /** Resolves when the app has started. @throws what its process would write at its end */
  async start(app: string, env: Record<string, string>): Promise<void> {
    const { error } = await this.order({ what: 'start', app, env });
    if (error !== undefined) throw new Error(`${app} did not start: ${error}\n${this.process.log()}`);
  }

  /** @returns the exit code that a process of its own would have; null when the shared one was killed */
  async stop(app: string): Promise<number | null> {
    if (this.process.hasEnded()) return this.process.end();
    return (await this.order({ what: 'stop', app })).exitCode;
  }

  /**
   * Stops its apps and leaves the process, with its metrics at zero, to the next spec file. One that did not stop in
   * good order, or that still holds something of its apps, ends.
   */
  async park(): Promise<void> {
    try {
      if (!globalThis.parkedAppHosts || this.process.hasEnded()) return void (await this.process.stop());
      const id = randomUUID();
      const { exitCode, error } = await this.order({ what: 'park', app: '' }, id);
      if (exitCode !== 0) throw new Error(error);
      await eventually(() => {
        if (this.process.log().split(id).length !== 3) throw new Error('some of its output is on its way');
      });
      globalThis.parkedAppHosts.push(this.process.detach());
    } catch {
      await this.process.stop();
    }
  }

  private async order(order: object, id = randomUUID()): Promise<Answer> {
    const answered = new Promise<Answer>((resolve) => this.waiting.set(id, resolve));
    this.process.send({ id, ...order });
    const ended = this.process.end().then((exitCode) => {
      throw new Error(`the process of several apps ended with ${exitCode}:\n${this.process.log()}`);
    });
    return Promise.race([answered, ended]);
  }
}

/** One that has ended since would answer no order. */
function takeParked(): ChildProcess | undefined {
  for (;;) {
    const parked = globalThis.parkedAppHosts?.pop();
    if (!parked || (parked.connected && parked.exitCode === null && parked.signalCode === null))
      return parked;
  }
}
