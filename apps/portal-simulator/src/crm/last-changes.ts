import type { Item } from '../items/item.js';
import type { Values } from '../protocol/php.js';
import type { Actor } from './actor.js';

export type Author = 'user' | 'application' | 'webhook' | 'robot';

export interface LastChange {
  author: Author;
  /** What the item was before; absent for one that was just made. */
  previous?: { fields: Readonly<Values>; atMs: number } | undefined;
}

/**
 * Who changed each item last, and what it was before. Bitrix24 shows the user's number only, which is the same
 * whether she changed it herself or an application did in her name; whoever watches wants to tell them apart.
 */
export class LastChanges {
  private readonly byItem = new WeakMap<Item, LastChange>();

  note(item: Item, cause: Actor, previous?: LastChange['previous']): void {
    const author = cause === 'robot' ? 'robot' : (cause.through ?? 'user');
    this.byItem.set(item, { author, previous });
  }

  /** Items made in silence have a user for an author. */
  of(item: Item): LastChange {
    return this.byItem.get(item) ?? { author: 'user' };
  }
}
