import type { Item } from '@relay/bitrix24';
import { z } from 'zod';
import { type Json, storable } from './storable.js';

/** A row of `mirror.items`, keys aside, under the names of its columns. */
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
  /** A decimal number as Bitrix24 wrote it. */
  opportunity: string | null;
  currency_id: string | null;
  fields: Json;
}

const text = z.union([z.string(), z.number().transform(String)]).nullable();
const wholeNumber = z
  .union([
    z.int32(),
    z
      .string()
      .regex(/^\d{1,10}$/)
      .transform(Number)
      .pipe(z.int32()),
  ])
  .nullable();
const amount = z
  .union([
    z
      .number()
      .refine(Number.isFinite)
      .transform((value) => String(value)),
    z.string().regex(/^-?\d{1,30}(\.\d{1,30})?$/),
  ])
  .nullable();
/** PHP's zero date, `-0001-11-30T00:00:00+00:00`, is none; nor is what PostgreSQL would refuse. */
const time = z
  .string()
  .regex(/^(?!0000)\d{4}-\d{2}-\d{2}T\d{2}:\d{2}/)
  .transform((written) => new Date(written))
  .refine(
    (date) => !Number.isNaN(date.getTime()) && date.getUTCFullYear() >= 1 && date.getUTCFullYear() <= 9999,
  )
  .transform((date) => date.toISOString())
  .nullable();

/** What does not fit its column becomes null there, and is still to be found in `fields`. */
const columns = z.object({
  title: text.catch(null),
  stageId: text.catch(null),
  categoryId: wholeNumber.catch(null),
  assignedById: wholeNumber.catch(null),
  createdBy: wholeNumber.catch(null),
  updatedBy: wholeNumber.catch(null),
  createdTime: time.catch(null),
  updatedTime: time.catch(null),
  movedTime: time.catch(null),
  opportunity: amount.catch(null),
  currencyId: text.catch(null),
});

/** `updatedTime` as the mirror keeps it: ISO 8601 in UTC, null for what is no time. */
export function storedTime(value: unknown): string | null {
  const read = time.safeParse(value);
  return read.success ? read.data : null;
}

/**
 * An item of `crm.item.list` as a row that PostgreSQL takes, whatever is in it
 * (`api-reference/crm/universal/object-fields.md`).
 */
export function toItemRow(itemId: string, item: Item): ItemRow {
  const fields = storable(item);
  const known = columns.parse(fields);
  return {
    item_id: itemId,
    title: known.title,
    stage_id: known.stageId,
    category_id: known.categoryId,
    assigned_by_id: known.assignedById,
    created_by_id: known.createdBy,
    updated_by_id: known.updatedBy,
    created_time: known.createdTime,
    updated_time: known.updatedTime,
    moved_time: known.movedTime,
    opportunity: known.opportunity,
    currency_id: known.currencyId,
    fields,
  };
}
