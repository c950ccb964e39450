import type { Crm } from '../crm/crm.js';
import { OWNER_ID } from '../crm/users.js';
import type { UserField } from '../fields/field.js';
import type { ItemStore } from '../items/item-store.js';
import type { ValueGenerator } from '../items/item.js';
import { textOf, type Value, type Values } from '../protocol/php.js';
import { generateStandardValue, generateUserValue, STAGE_CODES } from './generated-values.js';
import { Random, roll } from './random.js';

/** Made items were created in these two years, whenever they are made. */
const FROM_MS = Date.UTC(2024, 0, 1);
const SPAN_MS = 2 * 365 * 86_400_000;
const MAX_UPDATE_DELAY_MS = 30 * 86_400_000;

/**
 * Adds items whose values come of the seed, their id and the names of their fields, and are worked out when they are read:
 * 100,000 take a fraction of a second and some 20 MB.
 */
export function generateItems(store: ItemStore, count: number, seed: number, userId: number): void {
  const making = new SeededGenerator(seed, new GenerationPlan(store));
  for (let made = 0; made < count; made += 1) {
    const createdAtMs = FROM_MS + Math.floor((made / count) * SPAN_MS);
    const later = roll(seed, store.lastId + 1, 0) % MAX_UPDATE_DELAY_MS;
    store.addGenerated(making, createdAtMs, createdAtMs + later, userId);
  }
}

/** New values for some fields of an item, as a user would save them. */
function generateChanges(plan: GenerationPlan, id: number, random: Random): Values {
  const making = new SeededGenerator(random.next(), plan);
  const names = plan.changing;
  const chosen = names.filter(() => random.happens(3 / names.length));
  return Object.fromEntries(
    ['title', ...chosen].map((name): [string, Value] => [name, making.valueOf(id, name) ?? null]),
  );
}

/** What there is to make of the items of one type, as its fields are now. */
class GenerationPlan {
  /** With a number that tells each field from the others. */
  readonly userFields: ReadonlyMap<string, { field: UserField; salt: number }>;
  readonly stagePrefix: string;
  /** The names of the fields that users change. */
  readonly changing: readonly string[];
  private readonly salts = new Map<string, number>();

  constructor({ entityTypeId, fields, defaults }: ItemStore) {
    const userFields = fields.userFields();
    this.userFields = new Map(userFields.map((field) => [field.name, { field, salt: saltOf(field.name) }]));
    this.stagePrefix = `DT${entityTypeId}_${textOf(defaults['categoryId']) ?? ''}:`;
    const standard = ['title', 'stageId', 'opportunity', 'assignedById'];
    this.changing = [...standard, ...userFields.map(({ name }) => name)];
  }

  saltOfStandard(name: string): number {
    let salt = this.salts.get(name);
    if (salt === undefined) this.salts.set(name, (salt = saltOf(name)));
    return salt;
  }
}

class SeededGenerator implements ValueGenerator {
  constructor(
    private readonly seed: number,
    private readonly plan: GenerationPlan,
  ) {}

  valueOf(id: number, name: string): Value | undefined {
    const { plan, seed } = this;
    const known = plan.userFields.get(name);
    if (known) return generateUserValue(known.field, roll(seed, id, known.salt));
    const number = roll(seed, id, plan.saltOfStandard(name));
    if (name === 'stageId') return plan.stagePrefix + (STAGE_CODES[number % STAGE_CODES.length] ?? '');
    return generateStandardValue(name, id, number);
  }
}

/** FNV-1a. */
function saltOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index += 1) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193) >>> 0;
  }
  return hash;
}

interface RandomChanges {
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
