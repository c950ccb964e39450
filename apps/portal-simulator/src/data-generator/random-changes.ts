import { OWNER_ID } from '../crm/actor.js';
import type { Crm } from '../crm/crm.js';
import { generateChanges, GenerationPlan } from './generate-items.js';
import { Random } from './random.js';

export interface RandomChanges {
  entityTypeId: number;
  count: number;
  seed: number;
  /** Chance of each change to be an item that is added, or deleted; the others are updates. */
  adds: number;
  deletes: number;
  /** Chance of each change that nobody hears of it. */
  dropEvents: number;
}

export interface Changed {
  added: number;
  updated: number;
  deleted: number;
  /** Changes of which nobody heard. */
  dropped: number;
}

/** Changes items at random, the same ones for the same seed and the same items. @throws RestError NOT_FOUND */
export function changeAtRandom(crm: Crm, changes: RandomChanges): Changed {
  const { entityTypeId, count, seed, adds, deletes, dropEvents } = changes;
  const random = new Random(seed);
  const store = crm.items(entityTypeId);
  const plan = new GenerationPlan(store);
  const cause = { userId: OWNER_ID };
  const changed: Changed = { added: 0, updated: 0, deleted: 0, dropped: 0 };
  for (let done = 0; done < count; done += 1) {
    const silent = random.happens(dropEvents);
    const kind = random.next() / 2 ** 32;
    const item = store.at(random.below(store.size));
    if (kind < adds || !item) {
      crm.addItem(entityTypeId, generateChanges(plan, store.lastId + 1, random), cause, { silent });
      changed.added += 1;
    } else if (kind < adds + deletes) {
      crm.deleteItem(entityTypeId, item.id, cause, { silent });
      changed.deleted += 1;
    } else {
      crm.updateItem(entityTypeId, item.id, generateChanges(plan, item.id, random), cause, { silent });
      changed.updated += 1;
    }
    if (silent) changed.dropped += 1;
  }
  return changed;
}
