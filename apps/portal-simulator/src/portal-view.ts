import type { Author } from './crm/last-changes.js';
import { CONTACT_TYPE_ID } from './crm/object-types.js';
import { smartProcessValue } from './crm/smart-processes.js';
import { everything } from './items/filter.js';
import type { ItemStore } from './items/item-store.js';
import type { Item } from './items/item.js';
import type { Portal } from './portal/portal.js';
import { textOf } from './protocol/php.js';

/** More than anybody reads, and little enough to be sent ten times a second. */
const MAX_ROWS = 100;

export interface Row {
  id: number;
  fields: Record<string, string>;
  changedAtMs: number;
  changedBy: Author;
  /** Only when the last change made a difference to these fields. */
  before?: { fields: Record<string, string>; sinceMs: number };
}

export interface Table {
  entityTypeId: number;
  title: string;
  total: number;
  /** The newest first. */
  rows: Row[];
}

/** `listening`: somebody is told of contacts. `installed`: nobody is, but the application is there. */
export type ApplicationState = 'absent' | 'installed' | 'listening';

/** One portal as its page shows it. */
export function viewOf(portal: Portal) {
  const { rate, burst } = portal.settings;
  return {
    portal: portal.identity.name,
    application: applicationState(portal),
    limits: { rate, burst },
    contacts: tableOf(portal, CONTACT_TYPE_ID, 'Contacts', ['name', 'secondName', 'lastName']),
    processes: portal.crm.types
      .all()
      .map((type) =>
        tableOf(portal, type.entityTypeId, textOf(smartProcessValue(type, 'title')) ?? '', ['title']),
      ),
    stats: portal.stats.read(portal.events.pending),
  };
}

export type PortalView = ReturnType<typeof viewOf>;

function applicationState({ handlers, installation }: Portal): ApplicationState {
  const isHeard = ['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE'].some((name) => handlers.of(name).length > 0);
  if (isHeard) return 'listening';
  return installation ? 'installed' : 'absent';
}

function tableOf(portal: Portal, entityTypeId: number, title: string, names: readonly string[]): Table {
  const store = portal.crm.items(entityTypeId);
  const { items } = store.page({
    filter: everything,
    orders: [{ field: 'id', descending: true }],
    offset: 0,
    limit: MAX_ROWS,
    count: false,
  });
  return {
    entityTypeId,
    title,
    total: store.size,
    rows: items.map((item) => rowOf(portal, store, item, names)),
  };
}

function rowOf(portal: Portal, store: ItemStore, item: Item, names: readonly string[]): Row {
  const { author, previous } = portal.crm.lastChanges.of(item);
  const fields = textsOf(store, item, names);
  const row: Row = { id: item.id, fields, changedAtMs: item.updatedAtMs, changedBy: author };
  if (!previous) return row;
  const before = textsOf(store, { ...item, fields: previous.fields }, names);
  if (names.some((name) => before[name] !== fields[name])) {
    row.before = { fields: before, sinceMs: item.updatedAtMs - previous.atMs };
  }
  return row;
}

function textsOf(store: ItemStore, item: Item, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, textOf(store.valueOf(item, name)) ?? '']));
}
