import type { Item } from '@relay/bitrix24';
import { type Json, type JsonRecord, sanitizeFields } from './sanitize-for-postgres.js';

/** Selects every field of an item. Custom fields have a wildcard of their own; `*` may or may not include them. */
export const ALL_FIELDS = ['*', 'uf_*'];

/** An id that fits PostgreSQL's bigint, in the portal's canonical form. */
export const ITEM_ID = /^[1-9]\d{0,17}$/;

/** Also in JSON: `2e0` is no id, though JavaScript accepts it as one. */
export function isItemId(value: unknown): value is number | string {
  return typeof value === 'number'
    ? Number.isSafeInteger(value) && value > 0
    : typeof value === 'string' && ITEM_ID.test(value);
}

/** A row of `mirror.items` without its keys, by column name. */
export interface ItemRow {
  item_id: string;
  title: string | null;
  stage_id: string | null;
  category_id: number | null;
  assigned_by_id: number | null;
  created_by_id: number | null;
  updated_by_id: number | null;
  /** ISO 8601, UTC. */
  created_time: string | null;
  updated_time: string | null;
  moved_time: string | null;
  /** A decimal number in Bitrix24's format. */
  opportunity: string | null;
  currency_id: string | null;
  fields: JsonRecord;
}

/*
 * A value that does not fit its column becomes null there, and stays in `fields`. Written by hand: a backfill reads
 * thousands of items a second, and a schema took as long for eleven fields as the parser for the whole text of an item.
 */

function text(value: Json | undefined): string | null {
  if (typeof value === 'string') return value;
  return typeof value === 'number' ? String(value) : null;
}

function wholeNumber(value: Json | undefined): number | null {
  const number = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value;
  // `int` of PostgreSQL has 32 bits.
  return typeof number === 'number' && number === (number | 0) ? number : null;
}

function amount(value: Json | undefined): string | null {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && /^-?\d{1,30}(\.\d{1,30})?$/.test(value) ? value : null;
}

/**
 * `updatedTime` and other times as the mirror stores them: ISO 8601 in UTC, null for an invalid time. PHP's zero date,
 * `-0001-11-30T00:00:00+00:00`, is invalid, and so is what PostgreSQL would reject.
 */
export function storedTime(value: unknown): string | null {
  if (typeof value !== 'string' || !/^(?!0000)\d{4}-\d{2}-\d{2}T\d{2}:\d{2}/.test(value)) return null;
  const date = new Date(value);
  const year = date.getUTCFullYear();
  // NaN, of an invalid date, is in no range.
  return year >= 1 && year <= 9999 ? date.toISOString() : null;
}

/**
 * Converts an item of `crm.item.list` to a row that PostgreSQL accepts, whatever it contains
 * (`api-reference/crm/universal/object-fields.md`).
 */
export function toItemRow(itemId: string, item: Item): ItemRow {
  const fields = sanitizeFields(item);
  return {
    item_id: itemId,
    title: text(fields['title']),
    stage_id: text(fields['stageId']),
    category_id: wholeNumber(fields['categoryId']),
    assigned_by_id: wholeNumber(fields['assignedById']),
    created_by_id: wholeNumber(fields['createdBy']),
    updated_by_id: wholeNumber(fields['updatedBy']),
    created_time: storedTime(fields['createdTime']),
    updated_time: storedTime(fields['updatedTime']),
    moved_time: storedTime(fields['movedTime']),
    opportunity: amount(fields['opportunity']),
    currency_id: text(fields['currencyId']),
    fields,
  };
}
