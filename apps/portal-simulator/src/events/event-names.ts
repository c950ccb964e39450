import type { ItemChange } from '../crm/crm.js';
import type { SmartProcess } from '../crm/smart-processes.js';

const CHANGES: readonly ItemChange[] = ['ADD', 'UPDATE', 'DELETE'];
const USER_FIELD_CHANGES = [...CHANGES, 'SETENUMVALUES'];

/** Available to every application, without a scope. */
const COMMON =
  'ONAPPUNINSTALL ONAPPINSTALL ONAPPUPDATE ONAPPPAYMENT ONAPPTEST ONAPPMETHODCONFIRM ONOFFLINEEVENT';
const CRM_THINGS =
  'INVOICE LEAD DEAL COMPANY CONTACT QUOTE CURRENCY PRODUCT PRODUCTPROPERTY PRODUCTSECTION ACTIVITY REQUISITE ' +
  'BANKDETAIL MEASURE DEALRECURRING INVOICERECURRING TIMELINECOMMENT DYNAMICITEM TYPE DOCUMENTGENERATORDOCUMENT';
/** `TYPE` covers smart processes and new invoices (api-reference/crm/universal/userfieldconfig/events/index.md). */
const CRM_WITH_USER_FIELDS = 'LEAD DEAL COMPANY CONTACT QUOTE INVOICE REQUISITE TYPE';
const OTHER_CRM_EVENTS =
  'ONCRMINVOICESETSTATUS ONCRMDEALMOVETOCATEGORY ONCRMADDRESSREGISTER ONCRMADDRESSUNREGISTER ' +
  'ONCRMDEALRECURRINGEXPOSE ONCRMINVOICERECURRINGEXPOSE';

/** The events of each scope (api-reference/events/events.md, and the page of each event). */
const BY_SCOPE: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ['', words(COMMON)],
  ['user', ['ONUSERADD']],
  ['user_basic', ['ONUSERADD']],
  ['user_brief', ['ONUSERADD']],
  [
    'crm',
    [
      ...words(CRM_THINGS).flatMap((thing) => CHANGES.map((change) => `ONCRM${thing}${change}`)),
      ...words(CRM_WITH_USER_FIELDS).flatMap((thing) =>
        USER_FIELD_CHANGES.map((change) => `ONCRM${thing}USERFIELD${change}`),
      ),
      ...words(OTHER_CRM_EVENTS),
    ],
  ],
  ['task', ['ONTASK', 'ONTASKCOMMENT'].flatMap((thing) => CHANGES.map((change) => thing + change))],
]);

/** The scope of the events that every application gets. */
export const COMMON_SCOPE = '';
export const EVENT_SCOPES: readonly string[] = [...BY_SCOPE.keys()];

/** Says that the offline queue has records (api-reference/events/on-offline-event.md). */
export const OFFLINE_SIGNAL = 'ONOFFLINEEVENT';

/**
 * The events that a portal offers for these scopes. `crm` adds three suffixed events for each smart process, where the
 * portal has them.
 */
export function eventsOf(
  scopes: readonly string[],
  types: readonly SmartProcess[],
  isSuffixed: boolean,
): string[] {
  const suffixed = types.flatMap(({ entityTypeId }) =>
    CHANGES.map((change) => `ONCRMDYNAMICITEM${change}_${entityTypeId}`),
  );
  const names = scopes.flatMap((scope) => [
    ...(BY_SCOPE.get(scope) ?? []),
    ...(scope === 'crm' && isSuffixed ? suffixed : []),
  ]);
  return [...new Set(names)];
}

function words(text: string): string[] {
  return text.split(' ');
}
