import { randomUUID } from 'node:crypto';
import { readEntity } from './entity.js';
import { EventError } from './event-error.js';
import { parseEventName } from './event-name.js';
import type { PortalEvent } from './event.js';
import { emptyTree, type FormTree, type FormValue } from './form-tree.js';
import { withoutSecrets } from './redact-event.js';

/** What a record of the offline queue says of an event (api-reference/events/event-offline-get.md). */
export interface OfflineEventRecord {
  readonly name: string;
  /** An object; for an event without data `false` or `null`. */
  readonly data: unknown;
  /** When it was last refreshed, by the portal's clock, Unix time in ms; undefined if unknown. */
  readonly timestampMs: number | undefined;
}

/** The limits of a form (`form.ts`), since the data are the same. */
const MAX_VALUES = 1_000;
const MAX_DEPTH = 20;
/** As many characters as a form has bytes at most. */
const MAX_CHARS = 256 * 1024;

/**
 * The event of a record, as `openEvent` returns it for a form. No token proves it: the source is the portal's own
 * response.
 *
 * @param receivedAt in ms; replaces an unknown or negative time
 * @throws EventError `malformed-field` for a name that is none, and for more data than an event can have
 */
export function openOfflineEvent(
  memberId: string,
  { name: given, data, timestampMs }: OfflineEventRecord,
  receivedAt: number,
  source: PortalEvent['source'] = 'offline',
): PortalEvent {
  const { name, entityTypeId: suffixTypeId } = parseEventName(given);
  const tree = withoutSecrets(new TreeReader().read(data), []);
  const isTime = timestampMs !== undefined && timestampMs >= 0 && Number.isSafeInteger(timestampMs);
  return {
    id: randomUUID(),
    memberId,
    name,
    ...readEntity(name, suffixTypeId, tree),
    data: tree,
    ts: Math.floor((isTime ? timestampMs : receivedAt) / 1000),
    receivedAt,
    source,
  };
}

/** Reads JSON as a form would carry it: scalars as PHP prints them, lists as trees, `null` left out. */
class TreeReader {
  private values = 0;
  private chars = 0;

  read(data: unknown): FormTree {
    return isTreeLike(data) ? this.tree(data, 0) : emptyTree();
  }

  private tree(value: object, depth: number): FormTree {
    if (depth > MAX_DEPTH) throw tooMuch();
    const tree = emptyTree();
    for (const [key, child] of Object.entries(value)) {
      this.count(key);
      const read = this.value(child, depth + 1);
      if (read !== undefined) tree[key] = read;
    }
    return tree;
  }

  private value(child: unknown, depth: number): FormValue | undefined {
    if (isTreeLike(child)) return this.tree(child, depth);
    if (typeof child === 'boolean') return child ? '1' : '0';
    if (typeof child !== 'string' && typeof child !== 'number') return undefined;
    const text = String(child);
    this.count(text);
    return text;
  }

  private count(text: string): void {
    this.values += 1;
    this.chars += text.length;
    // Keys and values are counted alike.
    if (this.values > 2 * MAX_VALUES || this.chars > MAX_CHARS) throw tooMuch();
  }
}

function isTreeLike(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function tooMuch(): EventError {
  return new EventError('malformed-field', 'data');
}
