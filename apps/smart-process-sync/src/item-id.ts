/** An id that fits PostgreSQL's bigint, in the portal's canonical form. */
export const ITEM_ID = /^[1-9]\d{0,17}$/;

/** Also in JSON: `2e0` is no id, though JavaScript accepts it as one. */
export function isItemId(value: unknown): value is number | string {
  return typeof value === 'number'
    ? Number.isSafeInteger(value) && value > 0
    : typeof value === 'string' && ITEM_ID.test(value);
}
