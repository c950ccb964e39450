import { ACTIVITY_FIELDS } from '../fields/standard-sets.js';
import { textOf, type Value, type Values } from '../protocol/php.js';
import { formatTimestamp } from '../protocol/timestamp.js';

/** Calls, meetings and e-mails in the timelines of a portal's items (crm-activity-list.md). */
export class Activities {
  private readonly rows: Values[] = [];

  all(): readonly Values[] {
    return this.rows;
  }

  /** @returns its id */
  add(fields: Values, userId: number, nowMs: number): number {
    const id = this.rows.length + 1;
    const now = formatTimestamp(nowMs);
    const written = Object.fromEntries(
      Object.entries(fields)
        .filter(([name]) => ACTIVITY_FIELDS.isWritable(name))
        .map(([name, value]): [string, Value] => [
          name,
          // Every scalar is shown as a string.
          name === 'COMMUNICATIONS' ? value : (textOf(value) ?? value),
        ]),
    );
    this.rows.push({
      PROVIDER_ID: '',
      PROVIDER_TYPE_ID: '',
      ASSOCIATED_ENTITY_ID: '0',
      DESCRIPTION: '',
      DESCRIPTION_TYPE: '1',
      DIRECTION: '0',
      PRIORITY: '2',
      LOCATION: '',
      COMPLETED: 'N',
      START_TIME: now,
      END_TIME: now,
      DEADLINE: written['START_TIME'] ?? now,
      ORIGINATOR_ID: null,
      ORIGIN_ID: null,
      ...written,
      ID: String(id),
      STATUS: written['COMPLETED'] === 'Y' ? '2' : '1',
      CREATED: now,
      LAST_UPDATED: now,
      AUTHOR_ID: String(userId),
      EDITOR_ID: String(userId),
    });
    return id;
  }
}
