import type { Value, Values } from '../protocol/php.js';
import { FieldSet, type FieldSetDependencies } from './field-set.js';
import type { StandardField } from './field.js';

const READ_ONLY = { isReadOnly: true };
const MULTIPLE = { isMultiple: true };
const REQUIRED = { isRequired: true };
const HIDDEN = { isHidden: true };
const defaultsTo = (initial: Value): Partial<StandardField> => ({ defaultValue: initial });
const onlyIf = (setting: string): Partial<StandardField> => ({ onlyIf: setting });
const settings = (given: Values): Partial<StandardField> => ({ settings: given });

function field(
  type: string,
  name: string,
  title: string,
  ...more: readonly Partial<StandardField>[]
): StandardField {
  return Object.assign({ name, type, title }, ...more);
}

/** Several fields of one type, titled by their names. */
function fields(type: string, names: string, ...more: readonly Partial<StandardField>[]): StandardField[] {
  return names.split(' ').map((name) => field(type, name, name, ...more));
}

const UTM = fields('string', 'utmSource utmMedium utmCampaign utmContent utmTerm');

/** Contacts, entityTypeId 3 (api-reference/crm/universal/object-fields.md). */
export const CONTACT_FIELDS = new FieldSet([
  ...fields('integer', 'id', READ_ONLY),
  ...fields('user', 'createdBy updatedBy', READ_ONLY),
  ...fields('user', 'assignedById', defaultsTo(1)),
  ...fields('crm_company', 'companyId', defaultsTo(0)),
  ...fields('crm_lead', 'leadId'),
  ...fields('integer', 'webformId', defaultsTo(0)),
  ...fields('user', 'lastActivityBy', READ_ONLY),
  ...fields('integer', 'entityTypeId', READ_ONLY, HIDDEN),
  ...fields('string', 'name lastName secondName honorific post address comments typeId sourceId'),
  ...fields('string', 'sourceDescription originatorId originId originVersion'),
  ...UTM,
  ...fields('string', 'photo'),
  ...fields('datetime', 'createdTime updatedTime', READ_ONLY),
  ...fields('date', 'birthdate'),
  ...fields('datetime', 'lastActivityTime', READ_ONLY),
  ...fields('boolean', 'opened export', defaultsTo('Y')),
  ...fields('boolean', 'hasPhone hasEmail hasImol', defaultsTo('N'), READ_ONLY),
  ...fields('user', 'observers', MULTIPLE),
  ...fields('crm_company', 'companyIds', MULTIPLE),
  ...fields('crm_multifield', 'fm', MULTIPLE),
]);

const STAGES = onlyIf('isStagesEnabled');
const DATES = onlyIf('isBeginCloseDatesEnabled');
const CLIENT = onlyIf('isClientEnabled');
const PRODUCTS = onlyIf('isLinkWithProductsEnabled');
const SOURCE = onlyIf('isSourceEnabled');

/** In the order of api-reference/crm/universal/crm-item-fields.md; conditions are in object-fields.md#spa. */
const ITEM_FIELDS: readonly StandardField[] = [
  field('integer', 'id', 'ID', READ_ONLY),
  field('string', 'title', 'Name'),
  field('string', 'xmlId', 'External code'),
  field('datetime', 'createdTime', 'Created at', READ_ONLY),
  field('datetime', 'updatedTime', 'Updated at', READ_ONLY),
  field('user', 'createdBy', 'Created by', READ_ONLY),
  field('user', 'updatedBy', 'Updated by', READ_ONLY),
  field('user', 'assignedById', 'Assigned to', defaultsTo(1)),
  field('boolean', 'opened', 'Publicly available', REQUIRED, defaultsTo('Y')),
  field('integer', 'webformId', 'Created by CRM form', defaultsTo(0)),
  field('date', 'begindate', 'Start date', DATES),
  field('date', 'closedate', 'End date', DATES),
  field('crm_company', 'companyId', 'Company', CLIENT, defaultsTo(0), settings({ parentEntityTypeId: 4 })),
  field('crm_contact', 'contactId', 'Contact', CLIENT, defaultsTo(0)),
  field('crm_contact', 'contactIds', 'CONTACT_IDS', CLIENT, MULTIPLE),
  field('user', 'observers', 'Observers', onlyIf('isObserversEnabled'), MULTIPLE),
  field('crm_category', 'categoryId', 'Pipeline'),
  field('datetime', 'movedTime', 'Moved at', STAGES, READ_ONLY),
  field('user', 'movedBy', 'Moved by', STAGES, READ_ONLY),
  field('crm_status', 'stageId', 'Stage', STAGES),
  field('crm_status', 'previousStageId', 'Previous stage', STAGES, READ_ONLY),
  field('crm_status', 'sourceId', 'Source', SOURCE),
  field('text', 'sourceDescription', 'Additional source info', SOURCE),
  field('crm_currency', 'currencyId', 'Currency', PRODUCTS),
  field('boolean', 'isManualOpportunity', 'Amount calculation mode', PRODUCTS, defaultsTo('N')),
  field('double', 'opportunity', 'Amount', PRODUCTS, defaultsTo(0)),
  field('double', 'taxValue', 'Tax amount', PRODUCTS),
  field('crm_company', 'mycompanyId', 'Your company details', onlyIf('isMycompanyEnabled'), {
    settings: { isMyCompany: true, parentEntityTypeId: 4, isEmbeddedEditorEnabled: true },
  }),
  field('user', 'lastActivityBy', 'Last activity in timeline by', READ_ONLY),
  field('datetime', 'lastActivityTime', 'Last activity', READ_ONLY),
  ...UTM,
  field('integer', 'entityTypeId', 'entityTypeId', READ_ONLY, HIDDEN),
];

/** Items of a smart process (entityTypeId from 128) and new invoices (31). */
export function smartProcessItemFields(dependencies: FieldSetDependencies): FieldSet {
  return new FieldSet(ITEM_FIELDS, dependencies);
}

const TYPE_FLAGS =
  'isCategoriesEnabled isStagesEnabled isBeginCloseDatesEnabled isClientEnabled isUseInUserfieldEnabled ' +
  'isLinkWithProductsEnabled isMycompanyEnabled isDocumentsEnabled isSourceEnabled isObserversEnabled isRecyclebinEnabled ' +
  'isAutomationEnabled isBizProcEnabled isPaymentsEnabled isCountersEnabled';

/** All settings of a smart process on: its items have every field. */
export const ALL_SETTINGS: Readonly<Values> = Object.fromEntries(
  TYPE_FLAGS.split(' ').map((flag) => [flag, 'Y']),
);

/** The fields of a smart process itself (api-reference/crm/universal/user-defined-object-types/). */
export const SMART_PROCESS_FIELDS = new FieldSet([
  ...fields('integer', 'id', READ_ONLY),
  ...fields('integer', 'entityTypeId customSectionId'),
  ...fields('user', 'createdBy updatedBy', READ_ONLY),
  ...fields('string', 'title'),
  ...fields('string', 'code', defaultsTo('')),
  ...fields('boolean', TYPE_FLAGS, defaultsTo('N')),
  ...fields('boolean', 'isSetOpenPermissions', defaultsTo('Y')),
  ...fields('datetime', 'createdTime updatedTime', READ_ONLY),
]);
