/** An id that PostgreSQL's bigint holds, spelled in the one way in which the portal spells it. */
export const ITEM_ID = /^[1-9]\d{0,17}$/;

/** Also as JSON has it: `2e0` is no id, though JavaScript takes it for one. */
export function isItemId(value: unknown): value is number | string {
  return typeof value === 'number'
    ? Number.isSafeInteger(value) && value > 0
    : typeof value === 'string' && ITEM_ID.test(value);
}
