import { FieldSet } from './field-set.js';

const readOnly = new Set(
  (
    'id entityTypeId createdTime updatedTime movedTime lastActivityTime createdBy updatedBy movedBy lastActivityBy ' +
    'hasPhone hasEmail hasImol previousStageId'
  ).split(' '),
);

/** Contacts, entityTypeId 3 (api-reference/crm/universal/object-fields.md). */
export const contactFields = new FieldSet(
  [
    ['number', 'id createdBy updatedBy assignedById companyId leadId webformId lastActivityBy entityTypeId'],
    [
      'string',
      'name lastName secondName honorific post address comments typeId sourceId sourceDescription originatorId originId ' +
        'originVersion utmSource utmMedium utmCampaign utmContent utmTerm photo',
    ],
    ['datetime', 'createdTime updatedTime birthdate lastActivityTime'],
    ['flag', 'opened export hasPhone hasEmail hasImol'],
    ['list', 'observers companyIds fm'],
  ],
  {
    assignedById: 1,
    companyId: 0,
    webformId: 0,
    opened: 'Y',
    export: 'Y',
    hasPhone: 'N',
    hasEmail: 'N',
    hasImol: 'N',
  },
  readOnly,
);

/** Items of a smart process (entityTypeId from 128) and new invoices (31). */
export const smartProcessItemFields = new FieldSet(
  [
    [
      'number',
      'id createdBy updatedBy movedBy assignedById categoryId companyId contactId mycompanyId opportunity taxValue webformId ' +
        'lastActivityBy entityTypeId',
    ],
    [
      'string',
      'xmlId title stageId previousStageId currencyId sourceId sourceDescription utmSource utmMedium utmCampaign utmContent utmTerm',
    ],
    ['datetime', 'createdTime updatedTime movedTime begindate closedate lastActivityTime'],
    ['flag', 'opened isManualOpportunity'],
    ['list', 'observers contactIds'],
  ],
  {
    assignedById: 1,
    companyId: 0,
    contactId: 0,
    opportunity: 0,
    opened: 'Y',
    isManualOpportunity: 'N',
    webformId: 0,
  },
  readOnly,
);

const typeFlags =
  'isCategoriesEnabled isStagesEnabled isBeginCloseDatesEnabled isClientEnabled isUseInUserfieldEnabled ' +
  'isLinkWithProductsEnabled isMycompanyEnabled isDocumentsEnabled isSourceEnabled isObserversEnabled isRecyclebinEnabled ' +
  'isAutomationEnabled isBizProcEnabled isSetOpenPermissions isPaymentsEnabled isCountersEnabled';

/** Smart processes themselves (api-reference/crm/universal/user-defined-object-types/). */
export const smartProcessFields = new FieldSet(
  [
    ['number', 'id entityTypeId customSectionId createdBy updatedBy'],
    ['string', 'title code'],
    ['flag', typeFlags],
    ['datetime', 'createdTime updatedTime'],
  ],
  {
    code: '',
    ...Object.fromEntries(typeFlags.split(' ').map((flag) => [flag, 'N'])),
    isSetOpenPermissions: 'Y',
  },
  new Set(['id', 'createdBy', 'updatedBy', 'createdTime', 'updatedTime']),
);
