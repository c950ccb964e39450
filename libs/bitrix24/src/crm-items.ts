import { z } from 'zod';

/*
 * Values as `crm.item.get` and `crm.item.list` answer them: ids and amounts are numbers, yes and no are `Y` and `N`, dates and
 * times are ISO 8601 with an offset (`birthdate`, too), and what is empty is null, '' or 0
 * (`api-reference/crm/universal/crm-item-get.md`, `object-fields.md`). PHP writes some numbers as text. A field is absent if it
 * was not selected. A portal may send anything, so what does not fit is undefined in the typed item, and the item stays.
 */
const text = z.string().nullish().catch(undefined);
const numeric = z
  .string()
  .regex(/^-?\d{1,15}(\.\d{1,15})?$/)
  .transform(Number);
const number = z.union([z.number(), numeric]).nullish().catch(undefined);
const flag = z.enum(['Y', 'N']).nullish().catch(undefined);
const time = text;
const ids = z
  .array(z.union([z.number(), numeric]))
  .nullish()
  .catch(undefined);
const file = z
  .looseObject({ id: z.union([z.number(), z.string()]), url: z.string(), urlMachine: z.string() })
  .nullish()
  .catch(undefined);
/** Comes only with `select: ['*']`. */
const multifields = z
  .array(z.object({ id: z.number(), typeId: z.string(), valueType: z.string(), value: z.string() }))
  .nullish()
  .catch(undefined);

/** Of every object type. Text if it has more digits than a number holds. */
const COMMON = {
  id: z.union([z.number(), z.string()]),
  entityTypeId: number,
  assignedById: number,
  createdBy: number,
  createdTime: time,
  updatedBy: number,
  updatedTime: time,
  lastActivityBy: number,
  lastActivityTime: time,
  opened: flag,
  webformId: number,
  utmSource: text,
  utmMedium: text,
  utmCampaign: text,
  utmContent: text,
  utmTerm: text,
};
const MONEY = { opportunity: number, isManualOpportunity: flag, currencyId: text };
const TAXED_MONEY = { ...MONEY, taxValue: number };
const MOVES = { stageId: text, movedBy: number, movedTime: time };
const ORIGIN = { originatorId: text, originId: text };
const SOURCE = { sourceId: text, sourceDescription: text };
const PERSON = {
  name: text,
  secondName: text,
  lastName: text,
  honorific: text,
  birthdate: time,
  post: text,
};
const REACHABLE = {
  hasPhone: flag,
  hasEmail: flag,
  hasImol: flag,
  phone: text,
  phoneMobile: text,
  phoneWork: text,
  phoneMailing: text,
  email: text,
  emailHome: text,
  emailWork: text,
  emailMailing: text,
  imol: text,
  fm: multifields,
};
const CLIENT = { companyId: number, contactId: number, contactIds: ids };

/** Of invoices and smart processes alike. */
const SMART_PROCESS = {
  ...COMMON,
  ...MOVES,
  ...TAXED_MONEY,
  ...CLIENT,
  ...SOURCE,
  xmlId: text,
  title: text,
  categoryId: number,
  previousStageId: text,
  begindate: time,
  closedate: time,
  mycompanyId: number,
  observers: ids,
};

/** Fields by object type. Other keys, such as `ufCrm_…` and `parentId…`, stay in the item. */
const SCHEMAS = {
  lead: z.looseObject({
    ...COMMON,
    ...MOVES,
    ...MONEY,
    ...CLIENT,
    ...SOURCE,
    ...ORIGIN,
    ...PERSON,
    ...REACHABLE,
    title: text,
    companyTitle: text,
    statusDescription: text,
    stageSemanticId: text,
    comments: text,
    dateClosed: time,
    isReturnCustomer: flag,
    skype: text,
    icq: text,
    observers: ids,
  }),
  deal: z.looseObject({
    ...COMMON,
    ...MOVES,
    ...TAXED_MONEY,
    ...CLIENT,
    ...SOURCE,
    ...ORIGIN,
    title: text,
    categoryId: number,
    stageSemanticId: text,
    leadId: number,
    quoteId: number,
    typeId: text,
    isNew: flag,
    isRecurring: flag,
    isReturnCustomer: flag,
    isRepeatedApproach: flag,
    closed: flag,
    probability: number,
    comments: text,
    begindate: time,
    closedate: time,
    eventDate: time,
    eventId: text,
    eventDescription: text,
    additionalInfo: text,
    orderStage: text,
    observers: ids,
  }),
  contact: z.looseObject({
    ...COMMON,
    ...SOURCE,
    ...ORIGIN,
    ...PERSON,
    ...REACHABLE,
    originVersion: text,
    photo: file,
    comments: text,
    leadId: number,
    companyId: number,
    companyIds: ids,
    categoryId: number,
    export: flag,
    typeId: text,
    observers: ids,
  }),
  company: z.looseObject({
    ...COMMON,
    ...ORIGIN,
    ...REACHABLE,
    originVersion: text,
    title: text,
    logo: file,
    addressLegal: text,
    bankingDetails: text,
    comments: text,
    typeId: text,
    industry: text,
    revenue: number,
    currencyId: text,
    employees: text,
    leadId: number,
    isMyCompany: flag,
    categoryId: number,
    contactIds: ids,
    observers: ids,
  }),
  quote: z.looseObject({
    ...COMMON,
    ...TAXED_MONEY,
    ...CLIENT,
    title: text,
    stageId: text,
    quoteNumber: text,
    leadId: number,
    dealId: number,
    mycompanyId: number,
    personTypeId: number,
    closed: flag,
    comments: text,
    content: text,
    terms: text,
    begindate: time,
    closedate: time,
    actualDate: time,
    clientTitle: text,
    clientAddr: text,
    clientContact: text,
    clientEmail: text,
    clientPhone: text,
  }),
  invoice: z.looseObject({ ...SMART_PROCESS, comments: text, accountNumber: text }),
  smartProcess: z.looseObject(SMART_PROCESS),
};

/** The object types with typed items. */
export type ItemType = keyof typeof SCHEMAS;

/** An item with the fields of its object type; see {@link toItem}. */
export type ItemOf<T extends ItemType> = z.output<(typeof SCHEMAS)[T]>;

/** The `entityTypeId` of each standard object type (`api-reference/crm/data-types.md`, object types). */
export const ENTITY_TYPE_IDS: Readonly<Record<Exclude<ItemType, 'smartProcess'>, number>> = {
  lead: 1,
  deal: 2,
  contact: 3,
  company: 4,
  quote: 7,
  invoice: 31,
};

/**
 * The same item with typed fields. Of a field whose value is not as documented the value is undefined; an unknown key keeps
 * its value.
 * @throws ZodError for an item without an id, which `readItems` and `listByIds` never return
 */
export function toItem<T extends ItemType>(type: T, item: Readonly<Record<string, unknown>>): ItemOf<T>;
export function toItem(type: ItemType, item: Readonly<Record<string, unknown>>): unknown {
  return SCHEMAS[type].parse(item);
}
