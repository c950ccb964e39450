import type { Value, Values } from '../protocol/php.js';
import { FieldSet, type FieldSetDependencies } from './field-set.js';
import type { StandardField } from './field.js';

const readOnly = { isReadOnly: true };
const multiple = { isMultiple: true };
const required = { isRequired: true };
const hidden = { isHidden: true };
const initially = (initial: Value): Partial<StandardField> => ({ initial });
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

/** A list of names, for those of whom only that is known. */
function fields(type: string, names: string, ...more: readonly Partial<StandardField>[]): StandardField[] {
  return names.split(' ').map((name) => field(type, name, name, ...more));
}

const utm = fields('string', 'utmSource utmMedium utmCampaign utmContent utmTerm');

/** Contacts, entityTypeId 3 (api-reference/crm/universal/object-fields.md). */
export const contactFields = new FieldSet([
  ...fields('integer', 'id', readOnly),
  ...fields('user', 'createdBy updatedBy', readOnly),
  ...fields('user', 'assignedById', initially(1)),
  ...fields('crm_company', 'companyId', initially(0)),
  ...fields('crm_lead', 'leadId'),
  ...fields('integer', 'webformId', initially(0)),
  ...fields('user', 'lastActivityBy', readOnly),
  ...fields('integer', 'entityTypeId', readOnly, hidden),
  ...fields('string', 'name lastName secondName honorific post address comments typeId sourceId'),
  ...fields('string', 'sourceDescription originatorId originId originVersion'),
  ...utm,
  ...fields('string', 'photo'),
  ...fields('datetime', 'createdTime updatedTime', readOnly),
  ...fields('date', 'birthdate'),
  ...fields('datetime', 'lastActivityTime', readOnly),
  ...fields('boolean', 'opened export', initially('Y')),
  ...fields('boolean', 'hasPhone hasEmail hasImol', initially('N'), readOnly),
  ...fields('user', 'observers', multiple),
  ...fields('crm_company', 'companyIds', multiple),
  ...fields('crm_multifield', 'fm', multiple),
]);

const stages = onlyIf('isStagesEnabled');
const dates = onlyIf('isBeginCloseDatesEnabled');
const client = onlyIf('isClientEnabled');
const products = onlyIf('isLinkWithProductsEnabled');
const source = onlyIf('isSourceEnabled');

/** In the order of api-reference/crm/universal/crm-item-fields.md; what is only there if, in object-fields.md#spa. */
const itemFields: readonly StandardField[] = [
  field('integer', 'id', 'ID', readOnly),
  field('string', 'title', 'Name'),
  field('string', 'xmlId', 'External code'),
  field('datetime', 'createdTime', 'Created at', readOnly),
  field('datetime', 'updatedTime', 'Updated at', readOnly),
  field('user', 'createdBy', 'Created by', readOnly),
  field('user', 'updatedBy', 'Updated by', readOnly),
  field('user', 'assignedById', 'Assigned to', initially(1)),
  field('boolean', 'opened', 'Publicly available', required, initially('Y')),
  field('integer', 'webformId', 'Created by CRM form', initially(0)),
  field('date', 'begindate', 'Start date', dates),
  field('date', 'closedate', 'End date', dates),
  field('crm_company', 'companyId', 'Company', client, initially(0), settings({ parentEntityTypeId: 4 })),
  field('crm_contact', 'contactId', 'Contact', client, initially(0)),
  field('crm_contact', 'contactIds', 'CONTACT_IDS', client, multiple),
  field('user', 'observers', 'Observers', onlyIf('isObserversEnabled'), multiple),
  field('crm_category', 'categoryId', 'Pipeline'),
  field('datetime', 'movedTime', 'Moved at', stages, readOnly),
  field('user', 'movedBy', 'Moved by', stages, readOnly),
  field('crm_status', 'stageId', 'Stage', stages),
  field('crm_status', 'previousStageId', 'Previous stage', stages, readOnly),
  field('crm_status', 'sourceId', 'Source', source),
  field('text', 'sourceDescription', 'Additional source info', source),
  field('crm_currency', 'currencyId', 'Currency', products),
  field('boolean', 'isManualOpportunity', 'Amount calculation mode', products, initially('N')),
  field('double', 'opportunity', 'Amount', products, initially(0)),
  field('double', 'taxValue', 'Tax amount', products),
  field('crm_company', 'mycompanyId', 'Your company details', onlyIf('isMycompanyEnabled'), {
    settings: { isMyCompany: true, parentEntityTypeId: 4, isEmbeddedEditorEnabled: true },
  }),
  field('user', 'lastActivityBy', 'Last activity in timeline by', readOnly),
  field('datetime', 'lastActivityTime', 'Last activity', readOnly),
  ...utm,
  field('integer', 'entityTypeId', 'entityTypeId', readOnly, hidden),
];

/** Items of a smart process (entityTypeId from 128) and new invoices (31). */
export function smartProcessItemFields(around: FieldSetDependencies): FieldSet {
  return new FieldSet(itemFields, around);
}

const TYPE_FLAGS =
  'isCategoriesEnabled isStagesEnabled isBeginCloseDatesEnabled isClientEnabled isUseInUserfieldEnabled ' +
  'isLinkWithProductsEnabled isMycompanyEnabled isDocumentsEnabled isSourceEnabled isObserversEnabled isRecyclebinEnabled ' +
  'isAutomationEnabled isBizProcEnabled isPaymentsEnabled isCountersEnabled';

/** Settings of a smart process whose items have every field. */
export const everySetting: Readonly<Values> = Object.fromEntries(
  TYPE_FLAGS.split(' ').map((flag) => [flag, 'Y']),
);

/** Smart processes themselves (api-reference/crm/universal/user-defined-object-types/). */
export const smartProcessFields = new FieldSet([
  ...fields('integer', 'id', readOnly),
  ...fields('integer', 'entityTypeId customSectionId'),
  ...fields('user', 'createdBy updatedBy', readOnly),
  ...fields('string', 'title'),
  ...fields('string', 'code', initially('')),
  ...fields('boolean', TYPE_FLAGS, initially('N')),
  ...fields('boolean', 'isSetOpenPermissions', initially('Y')),
  ...fields('datetime', 'createdTime updatedTime', readOnly),
]);
