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

const statusOf = (statusType: string): Partial<StandardField> => ({ statusType });
/** Listed and shown, and always null (object-fields.md: “Field is disabled”). */
const DISABLED = READ_ONLY;

const COMMON: readonly StandardField[] = [
  field('integer', 'id', 'ID', READ_ONLY),
  field('datetime', 'createdTime', 'Created on', READ_ONLY),
  field('datetime', 'updatedTime', 'Modified on', READ_ONLY),
  field('user', 'createdBy', 'Created by', READ_ONLY),
  field('user', 'updatedBy', 'Modified by', READ_ONLY),
  field('user', 'assignedById', 'Responsible person', defaultsTo(1)),
  field('boolean', 'opened', 'Available to everyone', defaultsTo('Y')),
  field('integer', 'webformId', 'Created by CRM form', defaultsTo(0)),
  field('user', 'lastActivityBy', 'Last activity in timeline by', READ_ONLY),
  field('datetime', 'lastActivityTime', 'Last activity', READ_ONLY),
  ...UTM,
  field('integer', 'entityTypeId', 'entityTypeId', READ_ONLY, HIDDEN),
];

const SOURCE_FIELDS: readonly StandardField[] = [
  field('crm_status', 'sourceId', 'Source', statusOf('SOURCE')),
  field('text', 'sourceDescription', 'Source information'),
];
const ORIGIN_FIELDS = fields('string', 'originatorId originId');
/** Computed of `fm` (crm-item-get.md). */
const MULTIFIELDS: readonly StandardField[] = [
  ...fields('boolean', 'hasPhone hasEmail hasImol', READ_ONLY),
  ...fields('string', 'phoneMobile phoneWork phoneMailing emailHome emailWork emailMailing', READ_ONLY),
  ...fields('string', 'imol email phone', READ_ONLY),
  field('crm_multifield', 'fm', 'Multifields', MULTIPLE),
];
const PERSON: readonly StandardField[] = [
  field('crm_status', 'honorific', 'Salutation', statusOf('HONORIFIC')),
  field('string', 'name', 'First name'),
  field('string', 'secondName', 'Second name'),
  field('string', 'lastName', 'Last name'),
  field('string', 'post', 'Position'),
  field('date', 'birthdate', 'Date of birth'),
];
const AMOUNT: readonly StandardField[] = [
  field('double', 'opportunity', 'Amount', defaultsTo(0)),
  field('boolean', 'isManualOpportunity', 'Amount calculation mode', defaultsTo('N')),
  field('crm_currency', 'currencyId', 'Currency', defaultsTo('USD')),
];
const CLIENTS: readonly StandardField[] = [
  field('crm_company', 'companyId', 'Company', defaultsTo(0), settings({ parentEntityTypeId: 4 })),
  field('crm_contact', 'contactId', 'Contact', defaultsTo(0)),
  field('crm_contact', 'contactIds', 'Contacts', MULTIPLE),
];
const OBSERVERS = field('user', 'observers', 'Observers', MULTIPLE);
const STAGE: readonly StandardField[] = [
  field('crm_status', 'stageId', 'Stage'),
  field('string', 'stageSemanticId', 'Stage group', READ_ONLY),
];
const MOVED: readonly StandardField[] = [
  field('user', 'movedBy', 'Moved by', READ_ONLY),
  field('datetime', 'movedTime', 'Moved on', READ_ONLY),
];
const SHORT_DATES = fields('datetime', 'dateCreateShort dateModifyShort', DISABLED);

/** object-fields.md#lead; of its multifields `fm` and what is computed of it. */
const LEAD_FIELDS: readonly StandardField[] = [
  field('string', 'title', 'Lead name'),
  ...SHORT_DATES,
  ...STAGE,
  field('boolean', 'isConvert', 'Converted', DISABLED),
  field('text', 'statusDescription', 'Stage information'),
  field('string', 'productId', 'Product', DISABLED),
  ...CLIENTS,
  ...AMOUNT,
  ...SOURCE_FIELDS,
  ...PERSON,
  field('string', 'shortName', 'Short name', DISABLED),
  field('string', 'companyTitle', 'Company name'),
  field('text', 'address', 'Address', DISABLED),
  field('text', 'comments', 'Comment'),
  ...ORIGIN_FIELDS,
  field('datetime', 'dateClosed', 'Completed on', READ_ONLY),
  field('string', 'login', 'Login', DISABLED),
  field('boolean', 'isReturnCustomer', 'Repeat lead', READ_ONLY, defaultsTo('N')),
  ...MOVED,
  OBSERVERS,
  ...fields('string', 'skype icq', READ_ONLY),
  ...MULTIFIELDS,
];

/** object-fields.md#deal */
const DEAL_FIELDS: readonly StandardField[] = [
  field('string', 'title', 'Name'),
  ...SHORT_DATES,
  field('crm_lead', 'leadId', 'Lead'),
  ...CLIENTS,
  field('crm_quote', 'quoteId', 'Estimate'),
  field('string', 'productId', 'Product', DISABLED),
  field('crm_category', 'categoryId', 'Pipeline', defaultsTo(0)),
  ...STAGE,
  field('boolean', 'isNew', 'New deal', READ_ONLY),
  field('boolean', 'isRecurring', 'Recurring deal', defaultsTo('N')),
  field('boolean', 'isReturnCustomer', 'Repeat deal', READ_ONLY, defaultsTo('N')),
  field('boolean', 'isRepeatedApproach', 'Repeat inquiry', READ_ONLY, defaultsTo('N')),
  field('boolean', 'closed', 'Closed', READ_ONLY),
  field('crm_status', 'typeId', 'Type', statusOf('DEAL_TYPE')),
  ...AMOUNT,
  field('double', 'taxValue', 'Tax rate', defaultsTo(0)),
  field('integer', 'probability', 'Probability'),
  field('text', 'comments', 'Comment'),
  field('date', 'begindate', 'Start date'),
  field('datetime', 'begindateShort', 'Start date', DISABLED),
  field('date', 'closedate', 'End date'),
  field('datetime', 'closedateShort', 'End date', DISABLED),
  field('datetime', 'eventDate', 'Event date'),
  field('datetime', 'eventDateShort', 'Event date', DISABLED),
  field('crm_status', 'eventId', 'Event type', statusOf('EVENT_TYPE')),
  field('text', 'eventDescription', 'Event description'),
  field('location', 'locationId', 'Location'),
  ...SOURCE_FIELDS,
  ...ORIGIN_FIELDS,
  field('string', 'additionalInfo', 'Additional information'),
  field('string', 'orderStage', 'Payment status', READ_ONLY),
  ...MOVED,
  ...fields('boolean', 'isWork isWon isLose hasProducts', DISABLED),
  ...fields('string', 'receivedAmount lostAmount', DISABLED),
  OBSERVERS,
];

/** object-fields.md#contact */
const CONTACT_FIELDS: readonly StandardField[] = [
  ...PERSON,
  field('file', 'photo', 'Photo'),
  field('text', 'address', 'Address'),
  field('text', 'comments', 'Comment'),
  field('crm_status', 'typeId', 'Contact type', statusOf('CONTACT_TYPE')),
  ...SOURCE_FIELDS,
  ...ORIGIN_FIELDS,
  field('string', 'originVersion', 'Original version'),
  field('crm_lead', 'leadId', 'Lead'),
  field('crm_company', 'companyId', 'Company', defaultsTo(0), settings({ parentEntityTypeId: 4 })),
  field('crm_company', 'companyIds', 'Companies', MULTIPLE),
  field('boolean', 'export', 'Included in export', defaultsTo('Y')),
  field('crm_category', 'categoryId', 'Category', defaultsTo(0)),
  field('string', 'login', 'Login', DISABLED),
  OBSERVERS,
  ...MULTIFIELDS,
];

/** object-fields.md#company */
const COMPANY_FIELDS: readonly StandardField[] = [
  field('string', 'title', 'Company name'),
  field('file', 'logo', 'Logo'),
  field('text', 'address', 'Address', DISABLED),
  field('text', 'addressLegal', 'Legal address'),
  field('string', 'bankingDetails', 'Banking details'),
  field('text', 'comments', 'Comment'),
  field('crm_status', 'typeId', 'Company type', statusOf('COMPANY_TYPE')),
  field('crm_status', 'industry', 'Industry', statusOf('INDUSTRY')),
  field('double', 'revenue', 'Annual turnover', defaultsTo(0)),
  field('crm_currency', 'currencyId', 'Currency', defaultsTo('USD')),
  field('crm_status', 'employees', 'Number of employees', statusOf('EMPLOYEES')),
  field('crm_lead', 'leadId', 'Lead'),
  ...ORIGIN_FIELDS,
  field('string', 'originVersion', 'Original version'),
  field('boolean', 'isMyCompany', 'My company', defaultsTo('N')),
  field('crm_category', 'categoryId', 'Category', defaultsTo(0)),
  ...fields('file', 'ufLogo ufStamp ufDirectorSign ufAccountantSign'),
  OBSERVERS,
  field('crm_contact', 'contactIds', 'Contacts', MULTIPLE),
  ...MULTIFIELDS,
];

/** object-fields.md#quote */
const QUOTE_FIELDS: readonly StandardField[] = [
  field('string', 'title', 'Name'),
  ...SHORT_DATES,
  field('crm_lead', 'leadId', 'Lead'),
  field('crm_deal', 'dealId', 'Deal'),
  ...CLIENTS,
  field('integer', 'personTypeId', 'Payer type'),
  field('crm_company', 'mycompanyId', 'Your company details', defaultsTo(0)),
  ...STAGE,
  field('boolean', 'closed', 'Closed', READ_ONLY),
  ...AMOUNT,
  field('double', 'taxValue', 'Tax rate', defaultsTo(0)),
  field('text', 'comments', 'Comment'),
  field('integer', 'commentsType', 'Comment type'),
  field('date', 'begindate', 'Start date'),
  field('datetime', 'begindateShort', 'Start date', DISABLED),
  field('date', 'closedate', 'End date'),
  field('datetime', 'closedateShort', 'End date', DISABLED),
  field('date', 'actualDate', 'Valid until'),
  field('string', 'quoteNumber', 'Number'),
  field('text', 'content', 'Content'),
  field('integer', 'contentType', 'Content type'),
  field('text', 'terms', 'Terms'),
  field('integer', 'termsType', 'Terms type'),
  field('integer', 'storageTypeId', 'Storage type'),
  field('integer', 'storageElementIds', 'Files', MULTIPLE),
  field('location', 'locationId', 'Location'),
  ...fields('string', 'clientTitle clientAddr clientContact clientEmail clientPhone clientTpId clientTpaId'),
  field('boolean', 'hasProducts', 'Has products', DISABLED),
];

export const LEAD_TYPE_ID = 1;
export const DEAL_TYPE_ID = 2;
export const CONTACT_TYPE_ID = 3;
export const COMPANY_TYPE_ID = 4;
export const QUOTE_TYPE_ID = 7;
export const INVOICE_TYPE_ID = 31;

const STANDARD_TYPES: ReadonlyMap<number, readonly StandardField[]> = new Map([
  [LEAD_TYPE_ID, [...COMMON, ...LEAD_FIELDS]],
  [DEAL_TYPE_ID, [...COMMON, ...DEAL_FIELDS]],
  [CONTACT_TYPE_ID, [...COMMON, ...CONTACT_FIELDS]],
  [COMPANY_TYPE_ID, [...COMMON, ...COMPANY_FIELDS]],
  [QUOTE_TYPE_ID, [...COMMON, ...QUOTE_FIELDS]],
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
  field('crm_status', 'sourceId', 'Source', SOURCE, statusOf('SOURCE')),
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

/**
 * The fields of an object type: of leads, deals, contacts, companies and quotes their own (object-fields.md), of smart
 * processes (entityTypeId from 128) and new invoices (31) those of their items.
 */
export function itemFields(entityTypeId: number, dependencies: FieldSetDependencies): FieldSet {
  return new FieldSet(STANDARD_TYPES.get(entityTypeId) ?? ITEM_FIELDS, dependencies);
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

/** A row of crm.status.list (api-reference/crm/status/crm-status-fields.md). */
export const STATUS_FIELDS = new FieldSet([
  ...fields('integer', 'ID SORT CATEGORY_ID', READ_ONLY),
  ...fields('string', 'ENTITY_ID STATUS_ID NAME NAME_INIT COLOR SEMANTICS SYSTEM', READ_ONLY),
]);

/** A row of user.get (api-reference/user/user-fields.md). */
export const USER_FIELDS = new FieldSet([
  ...fields('integer', 'ID', READ_ONLY),
  ...fields('boolean', 'ACTIVE', READ_ONLY),
  ...fields('string', 'XML_ID NAME LAST_NAME SECOND_NAME TITLE EMAIL IS_ONLINE TIME_ZONE', READ_ONLY),
  ...fields('string', 'PERSONAL_GENDER PERSONAL_MOBILE WORK_PHONE WORK_POSITION USER_TYPE', READ_ONLY),
  ...fields('datetime', 'DATE_REGISTER', READ_ONLY),
  ...fields('integer', 'UF_DEPARTMENT', READ_ONLY, MULTIPLE),
]);

/** A row of crm.item.productrow.list (api-reference/crm/data-types.md#crm_item_product_row). */
export const PRODUCT_ROW_FIELDS = new FieldSet([
  ...fields('integer', 'id ownerId productId discountTypeId measureCode sort type'),
  ...fields('string', 'ownerType productName taxIncluded customized measureName xmlId'),
  ...fields('double', 'price priceAccount priceExclusive priceNetto priceBrutto quantity'),
  ...fields('double', 'discountRate discountSum taxRate'),
]);

/** A row of crm.activity.list (crm-activity-fields.md). */
export const ACTIVITY_FIELDS = new FieldSet([
  ...fields('integer', 'ID AUTHOR_ID EDITOR_ID', READ_ONLY),
  ...fields('datetime', 'CREATED LAST_UPDATED', READ_ONLY),
  ...fields('integer', 'OWNER_ID OWNER_TYPE_ID TYPE_ID ASSOCIATED_ENTITY_ID RESPONSIBLE_ID STATUS'),
  ...fields('integer', 'PRIORITY NOTIFY_TYPE NOTIFY_VALUE DESCRIPTION_TYPE DIRECTION'),
  ...fields('string', 'PROVIDER_ID PROVIDER_TYPE_ID PROVIDER_GROUP_ID SUBJECT DESCRIPTION LOCATION'),
  ...fields('string', 'ORIGINATOR_ID ORIGIN_ID COMPLETED COMMUNICATIONS'),
  ...fields('datetime', 'START_TIME END_TIME DEADLINE'),
]);
