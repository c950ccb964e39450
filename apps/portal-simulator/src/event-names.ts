import type { SmartProcess } from './crm/smart-processes.js';

export type ItemChange = 'ADD' | 'UPDATE' | 'DELETE';

const basic = (
  'ONAPPUNINSTALL ONAPPINSTALL ONAPPUPDATE ONAPPPAYMENT ONAPPTEST ONAPPMETHODCONFIRM ' +
  'ONOFFLINEEVENT ONUSERADD'
).split(' ');
const families = (
  'INVOICE LEAD DEAL COMPANY CONTACT QUOTE CURRENCY PRODUCT ACTIVITY REQUISITE BANKDETAIL ' +
  'TIMELINECOMMENT TYPE DYNAMICITEM'
).split(' ');
const changes: readonly ItemChange[] = ['ADD', 'UPDATE', 'DELETE'];
/** Of the fields of smart processes and new invoices (api-reference/crm/universal/userfieldconfig/events/index.md). */
const userFieldChanges = [...changes, 'SETENUMVALUES'].map((change) => `ONCRMTYPEUSERFIELD${change}`);
const crm = [
  ...families.flatMap((family) => changes.map((change) => `ONCRM${family}${change}`)),
  ...userFieldChanges,
];

/**
 * What a portal offers (api-reference/events/events.md): the basic events and, where it offers suffixed
 * ones, three for each of its smart processes. `scope`: only the events that this permission gives.
 */
export function availableEvents(
  types: readonly SmartProcess[],
  isSuffixed: boolean,
  scope?: string,
): string[] {
  const suffixed = isSuffixed
    ? types.flatMap(({ entityTypeId }) =>
        changes.map((change) => `ONCRMDYNAMICITEM${change}_${entityTypeId}`),
      )
    : [];
  if (scope === undefined) return [...basic, ...crm, ...suffixed];
  return scope === 'crm' ? [...crm, ...suffixed] : [];
}
