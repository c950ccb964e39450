import type { RunningConsumer } from '@relay/consumer';
import type { FoundConsumer } from './find-consumers.js';

interface ConsumerHost {
  /** All consumers that there are; asked once. */
  find(): Promise<FoundConsumer[]>;
  /** Undefined where its code does not let it start. */
  start(found: FoundConsumer): Promise<RunningConsumer | undefined>;
  /** Those that `npm run dev` runs. */
  takenOver(): Set<string>;
  /** It is run by `npm run dev` from now on, and not here. */
  released(app: string): void;
  /** It runs here again. */
  resumed(app: string): void;
  /** `npm run dev` does not run it any more, nor does this process: it was made after `find` was asked. */
  made(app: string): void;
}

/** The consumers of this process: each of them runs here unless `npm run dev` runs it. */
export class RunningConsumers {
  private readonly running = new Map<string, RunningConsumer>();
  /** Tried here: one whose code is broken is not tried again and again. */
  private readonly tried = new Set<string>();
  private readonly released = new Set<string>();
  private known: FoundConsumer[] | undefined;
  private turn: Promise<void> = Promise.resolve();
  private isClosed = false;

  constructor(private readonly host: ConsumerHost) {}

  /** Starts those that are to run here, and closes those that are not. One call after the other. */
  update(): Promise<void> {
    const next = this.turn.then(() => this.updateNow());
    this.turn = next.catch(() => undefined);
    return next;
  }

  /** Closes all, after what is under way. */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.turn;
    const all = [...this.running.values()].toReversed();
    this.running.clear();
    const failures: unknown[] = [];
    for (const consumer of all) await consumer.close().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw new AggregateError(failures);
  }

  private async updateNow(): Promise<void> {
    const { host } = this;
    const taken = host.takenOver();
    this.known ??= await host.find();
    const returned = new Set<string>();
    for (const app of [...this.released].filter((each) => !taken.has(each))) {
      this.released.delete(app);
      this.tried.delete(app);
      returned.add(app);
    }
    for (const app of [...taken].filter((each) => !this.released.has(each))) {
      await this.running.get(app)?.close();
      this.running.delete(app);
      this.released.add(app);
      host.released(app);
    }
    for (const found of this.known) {
      if (this.isClosed || this.tried.has(found.app) || this.released.has(found.app)) continue;
      this.tried.add(found.app);
      const consumer = await host.start(found);
      if (!consumer) continue;
      this.running.set(found.app, consumer);
      if (returned.has(found.app)) host.resumed(found.app);
    }
    const known = new Set(this.known.map(({ app }) => app));
    for (const app of returned) if (!known.has(app)) host.made(app);
  }
}
