import { integerOf, listOf, textOf, treeOf, type Value, type Values } from '../protocol/php.js';

const TYPES: Readonly<Record<string, readonly string[]>> = {
  PHONE: ['WORK', 'MOBILE', 'FAX', 'HOME', 'PAGER', 'MAILING', 'OTHER'],
  EMAIL: ['WORK', 'HOME', 'MAILING', 'OTHER'],
  WEB: ['WORK', 'HOME', 'VK', 'LIVEJOURNAL', 'TWITTER', 'OTHER'],
  IM: ['TELEGRAM', 'VK', 'SKYPE', 'VIBER', 'BITRIX24', 'OPENLINE', 'IMOL', 'ICQ', 'MSN', 'JABBER', 'OTHER'],
  LINK: ['USER', 'OTHER'],
};

/**
 * `fm` after a write (api-reference/crm/universal/crm-item-update.md, data-types.md#crm_multifield). A key that is the id
 * of a value changes it, or deletes it if its new value is empty; any other key, such as `n0`, adds one; what is not
 * named stays. Values of an unknown type are ignored, as by the `crm` module.
 */
export function writeMultifields(present: Value, written: Value, nextId: () => number): Value[] {
  const byId = new Map(listOf(present).map((one) => [integerOf(treeOf(one)['id']), treeOf(one)]));
  for (const [key, given] of Object.entries(treeOf(written))) {
    const one = treeOf(given);
    // A list of values with their ids is what `crm.item.get` shows.
    const id = integerOf(one['id']) ?? integerOf(Array.isArray(written) ? undefined : key);
    const before = byId.get(id);
    const value = textOf(one['value'])?.trim() ?? textOf(before?.['value']) ?? '';
    if (value === '') {
      if (before) byId.delete(id);
      continue;
    }
    const typeId = textOf(one['typeId']) ?? textOf(before?.['typeId']) ?? '';
    const valueTypes = TYPES[typeId];
    if (!valueTypes) continue;
    const wanted = textOf(one['valueType']) ?? textOf(before?.['valueType']) ?? 'WORK';
    const valueType = valueTypes.includes(wanted) ? wanted : 'OTHER';
    const newId = before && id !== undefined ? id : nextId();
    byId.set(newId, { id: newId, typeId, valueType, value });
  }
  return [...byId.values()];
}

type Computed = (read: (field: string) => Value) => Value;

/** What is shown of `fm` in fields of its own (crm-item-get.md). */
export const MULTIFIELD_VALUES: Readonly<Record<string, Computed>> = {
  hasPhone: (read) => (valueOf(read, 'PHONE') === '' ? 'N' : 'Y'),
  hasEmail: (read) => (valueOf(read, 'EMAIL') === '' ? 'N' : 'Y'),
  hasImol: (read) => (valueOf(read, 'IM', 'IMOL') === '' ? 'N' : 'Y'),
  phone: (read) => valueOf(read, 'PHONE'),
  phoneMobile: (read) => valueOf(read, 'PHONE', 'MOBILE'),
  phoneWork: (read) => valueOf(read, 'PHONE', 'WORK'),
  phoneMailing: (read) => valueOf(read, 'PHONE', 'MAILING'),
  email: (read) => valueOf(read, 'EMAIL'),
  emailHome: (read) => valueOf(read, 'EMAIL', 'HOME'),
  emailWork: (read) => valueOf(read, 'EMAIL', 'WORK'),
  emailMailing: (read) => valueOf(read, 'EMAIL', 'MAILING'),
  imol: (read) => valueOf(read, 'IM', 'IMOL'),
};

/** The first one; empty if there is none. */
function valueOf(read: (field: string) => Value, typeId: string, valueType?: string): string {
  const found = listOf(read('fm'))
    .map((one): Values => treeOf(one))
    .find((one) => one['typeId'] === typeId && (valueType === undefined || one['valueType'] === valueType));
  return textOf(found?.['value']) ?? '';
}
