import type { Item } from '@relay/bitrix24';
import type { CountryCode } from 'libphonenumber-js/max';
import { z } from 'zod';
import { formatPhone } from './format-phone.js';

/** The portal's users put as many there as they like. */
const MAX_VALUES = 100;

/** `fm` of an item (`api-reference/crm/data-types.md#crm_multifield`). */
const multifield = z.object({
  id: z.coerce.number().int().positive(),
  typeId: z.string(),
  valueType: z.string(),
  value: z.string(),
});
const multifields = z.array(z.unknown()).catch([]);

export interface PhoneChange {
  /** Of the value within its portal. */
  valueId: number;
  valueType: string;
  from: string;
  to: string;
}

/** The phones of an item that are to be written otherwise. */
export function phoneChangesOf(item: Item, country: CountryCode | undefined): PhoneChange[] {
  const values = multifields.parse(item['fm']).slice(0, MAX_VALUES);
  return values.flatMap((given) => {
    const { success, data } = multifield.safeParse(given);
    if (!success || data.typeId !== 'PHONE') return [];
    const { id: valueId, valueType, value: from } = data;
    const to = formatPhone(from, country);
    return to === undefined || to === from ? [] : [{ valueId, valueType, from, to }];
  });
}

/**
 * `fields` of `crm.item.update`: the id of a value as its key changes that value; others stay
 * (`api-reference/crm/universal/crm-item-update.md`).
 */
export function toFields(changes: readonly PhoneChange[]): { fm: Record<string, Record<string, string>> } {
  return {
    fm: Object.fromEntries(
      changes.map(({ valueId, valueType, to }) => [valueId, { typeId: 'PHONE', valueType, value: to }]),
    ),
  };
}
