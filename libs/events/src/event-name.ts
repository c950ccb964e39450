import { EventError } from './event-error.js';

/**
 * Words of letters, digits and `_`, joined by single dots (`CATALOG.PRICE.ON.ADD`). Names become parts of routing keys
 * and table rows, so no other character is accepted. `:` and `-` occur in no documented event.
 */
export const EVENT_NAME = /^(?=.{1,100}$)\w+(?:\.\w+)*$/;

/** An entityTypeId is a positive 32-bit integer; smart processes start at 128. */
const SUFFIXED = /^(.+)_([1-9]\d{0,9})$/;
const LARGEST_TYPE_ID = 2 ** 31 - 1;

/**
 * Splits a name into its base name, in upper case, and the smart process of its suffix: `ONCRMDYNAMICITEMADD_147` is `{
 * name: 'ONCRMDYNAMICITEMADD', entityTypeId: 147 }`; without a suffix entityTypeId is 0. Source:
 * api-reference/crm/universal/events/index.md. Throws EventError `malformed-field`.
 */
export function parseEventName(name: string): { name: string; entityTypeId: number } {
  if (!EVENT_NAME.test(name)) throw new EventError('malformed-field', 'event');
  const upper = name.toUpperCase();
  const [, base, suffix] = SUFFIXED.exec(upper) ?? [];
  const entityTypeId = toEntityTypeId(suffix);
  return base === undefined || entityTypeId === 0
    ? { name: upper, entityTypeId: 0 }
    : { name: base, entityTypeId };
}

/** The inverse of {@link parseEventName}: the name that `event.bind` takes. */
export function formatEventName(name: string, entityTypeId: number): string {
  return entityTypeId === 0 ? name : `${name}_${entityTypeId}`;
}

/** Returns 0 for a text that is not an entityTypeId. */
export function toEntityTypeId(text: string | undefined): number {
  if (text === undefined || !/^[1-9]\d{0,9}$/.test(text)) return 0;
  const entityTypeId = Number(text);
  return entityTypeId <= LARGEST_TYPE_ID ? entityTypeId : 0;
}
