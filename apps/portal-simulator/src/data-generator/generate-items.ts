import type { Crm } from '../crm/crm.js';
import { OWNER_ID } from '../crm/users.js';
import type { UserField } from '../fields/field.js';
import type { ItemStore } from '../items/item-store.js';
import type { ValueGenerator } from '../items/item.js';
import type { Value, Values } from '../protocol/php.js';
import { generateStandardValue, generateUserValue, Random, roll } from './generated-values.js';

/** Generated items have their creation time in these two years. */
const FROM_MS = Date.UTC(2024, 0, 1);
const SPAN_MS = 2 * 365 * 86_400_000;
const MAX_UPDATE_DELAY_MS = 30 * 86_400_000;

/**
 * Adds items whose values depend on the seed, the id and the field name only, and are computed on read: 100,000 take a
 * fraction of a second and some 20 MB.
 */
export function generateItems(store: ItemStore, count: number, seed: number, userId: number): void {
  const generator = new SeededGenerator(seed, new GenerationPlan(store));
  for (let added = 0; added < count; added += 1) {
    const createdAtMs = FROM_MS + Math.floor((added / count) * SPAN_MS);
    const later = roll(seed, store.lastId + 1, 0) % MAX_UPDATE_DELAY_MS;
    store.addGenerated(generator, createdAtMs, createdAtMs + later, userId);
  }
}

/** New values for the title, or the name, and some other fields, as a user would save them. */
function generateChanges(plan: GenerationPlan, id: number, random: Random): Values {
  const generator = new SeededGenerator(random.next(), plan);
  const names = plan.changeableFields;
  const chosen = names.filter(() => random.happens(3 / names.length));
  return Object.fromEntries(
    [plan.titleField, ...chosen].map((name): [string, Value] => [name, generator.valueOf(id, name) ?? null]),
  );
}

/** The fields of one type at this time, prepared for generating values. */
class GenerationPlan {
  /** Each with a salt, so that fields get different values. */
  readonly userFields: ReadonlyMap<string, { field: UserField; salt: number }>;
  readonly stages: readonly string[];
  /** Contacts have names instead. */
  readonly titleField: 'title' | 'name';
  /** Fields that a random change can set. */
  readonly changeableFields: readonly string[];
  private readonly salts = new Map<string, number>();

  constructor({ fields, stages }: ItemStore) {
    const userFields = fields.userFields();
    this.userFields = new Map(userFields.map((field) => [field.name, { field, salt: saltOf(field.name) }]));
    this.stages = stages;
    this.titleField = fields.isWritable('title') ? 'title' : 'name';
    const standard = ['title', 'stageId', 'opportunity', 'assignedById'].filter((name) =>
      fields.isWritable(name),
    );
    this.changeableFields = [...standard, ...userFields.map(({ name }) => name)];
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
    if (name === 'stageId') return plan.stages[number % Math.max(plan.stages.length, 1)];
    return generateStandardValue(name, id, number);
  }
}

/** The FNV-1a hash of the name. */
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
  /** Probability that a change adds or deletes an item; all others are updates. */
  adds: number;
  deletes: number;
  /** Probability that a change emits no event. */
  dropEvents: number;
}

interface RandomChangeCounts {
  added: number;
  updated: number;
  deleted: number;
  /** Changes without an event. */
  dropped: number;
}

/** Changes items at random; the same seed and items give the same changes. @throws RestError NOT_FOUND */
export function applyRandomChanges(crm: Crm, changes: RandomChanges): RandomChangeCounts {
  const { entityTypeId, count, seed, adds, deletes, dropEvents } = changes;
  const random = new Random(seed);
  const store = crm.items(entityTypeId);
  const plan = new GenerationPlan(store);
  const actor = { userId: OWNER_ID };
  const changed: RandomChangeCounts = { added: 0, updated: 0, deleted: 0, dropped: 0 };
  for (let done = 0; done < count; done += 1) {
    const silent = random.happens(dropEvents);
    const kind = random.next() / 2 ** 32;
    const item = store.atIndex(random.below(store.size));
    if (kind < adds || !item) {
      crm.addItem(entityTypeId, generateChanges(plan, store.lastId + 1, random), actor, { silent });
      changed.added += 1;
    } else if (kind < adds + deletes) {
      crm.deleteItem(entityTypeId, item.id, actor, { silent });
      changed.deleted += 1;
    } else {
      crm.updateItem(entityTypeId, item.id, generateChanges(plan, item.id, random), actor, { silent });
      changed.updated += 1;
    }
    if (silent) changed.dropped += 1;
  }
  return changed;
}
