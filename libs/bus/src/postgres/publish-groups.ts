import { waitAtMost } from '@relay/platform';

/** An event on its way into the tables. */
export interface Publish {
  name: string;
  entityTypeId: number;
  shard: number;
  /** JSON on one line. */
  content: string;
}

interface Waiting extends Publish {
  resolve: () => void;
  reject: (cause: unknown) => void;
}

const MAX_GROUP_SIZE = 256;
/** In UTF-16 units. */
const MAX_GROUP_LENGTH = 1024 * 1024;
/** A statement that takes longer, for example on a connection that is dead, no longer keeps the next one back. */
const SLOW_MS = 50;

interface PublishGroupsOptions {
  /** Stores all of them in one transaction, or none. */
  store: (group: readonly Publish[]) => Promise<void>;
  /** Whether the error is about a member of the group: the others are then stored without it. */
  isAboutMember: (error: unknown) => boolean;
}

/**
 * Group commit: while one statement is on its way, the events that arrive wait for the next one together. No timer
 * gathers them, so an event alone is stored at once.
 */
export class PublishGroups {
  private readonly waiting = new Set<Waiting>();
  private isStoring = false;

  constructor(private readonly options: PublishGroupsOptions) {}

  /**
   * @returns `stored`: resolves when the group of this event is committed, rejects with the error of the database;
   * `abandon`: the event is not sent any more, unless it is on its way already
   */
  add(publish: Publish): { stored: Promise<void>; abandon: () => void } {
    let waiting: Waiting | undefined;
    const stored = new Promise<void>((resolve, reject) => {
      waiting = { ...publish, resolve, reject };
      this.waiting.add(waiting);
    });
    if (!this.isStoring) this.storeSoon();
    return { stored, abandon: () => waiting && this.waiting.delete(waiting) };
  }

  private storeSoon(): void {
    this.isStoring = true;
    // Not at once: what this turn of the event loop has received belongs to one group.
    setImmediate(() => void this.storeNext());
  }

  private async storeNext(): Promise<void> {
    await waitAtMost(this.store(this.next()), SLOW_MS);
    this.isStoring = false;
    if (this.waiting.size > 0) this.storeSoon();
  }

  private next(): Waiting[] {
    const group: Waiting[] = [];
    let length = 0;
    for (const waiting of this.waiting) {
      length += waiting.content.length;
      if (group.length === MAX_GROUP_SIZE || (group.length > 0 && length > MAX_GROUP_LENGTH)) break;
      this.waiting.delete(waiting);
      group.push(waiting);
    }
    return group;
  }

  /** Never rejects. After an error about one member the group is halved until that one is alone. */
  private async store(group: readonly Waiting[]): Promise<void> {
    if (group.length === 0) return;
    try {
      await this.options.store(group);
    } catch (cause) {
      if (group.length > 1 && this.options.isAboutMember(cause)) {
        const middle = Math.ceil(group.length / 2);
        await this.store(group.slice(0, middle));
        await this.store(group.slice(middle));
        return;
      }
      for (const { reject } of group) reject(cause);
      return;
    }
    for (const { resolve } of group) resolve();
  }
}
