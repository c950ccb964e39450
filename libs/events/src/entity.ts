import { toEntityTypeId } from './event-name.js';
import { emptyTree, type FormTree, isTree, textAt, treeAt } from './form-tree.js';

/** The thing that an event speaks of; see `PortalEvent`. */
interface EntityReference {
  entityTypeId: number;
  entityId: string | null;
  entity: string | null;
}

/** Where an id is within `data`: `FIELDS.ID` is `data[FIELDS][ID]`. */
type IdPath = readonly string[];

/** Events that speak of one kind of thing. */
interface Family {
  /** The event names, in upper case and without the suffix of a smart process. */
  readonly names: readonly string[];
  /** Where the id is: the first path that has one counts. The kind is the first part of the key. */
  readonly ids: readonly { readonly kind: string; readonly path: IdPath }[];
  /** The page or folder of the official documentation, within `api-reference/`. */
  readonly doc: string;
}

const CHANGES = ['ADD', 'UPDATE', 'DELETE'];
const USER_FIELD_CHANGES = [...CHANGES, 'SETENUMVALUES'];

/** Events `ON<kind><verb>`. */
function family(kind: string, verbs: readonly string[], paths: readonly string[], doc: string): Family {
  return familyOf(
    kind,
    verbs.map((verb) => `ON${kind}${verb}`),
    paths,
    doc,
  );
}

function familyOf(kind: string, names: readonly string[], paths: readonly string[], doc: string): Family {
  return { names, ids: paths.map((path) => ({ kind, path: path.split('.') })), doc };
}

const fields = (kind: string, doc: string, more: readonly string[] = []): Family =>
  family(kind, [...CHANGES, ...more], ['FIELDS.ID'], doc);

const userField = (kind: string, doc: string): Family =>
  family(`${kind}USERFIELD`, USER_FIELD_CHANGES, ['FIELDS.ID'], doc);

const catalog = (kind: string, doc: string): Family =>
  familyOf(
    `CATALOG.${kind}`,
    CHANGES.map((verb) => `CATALOG.${kind}.ON.${verb}`),
    ['FIELDS.ID'],
    `catalog/${doc}/events`,
  );

/**
 * All events that name one thing, a row a family. By name only: `data[FIELDS][ID]` of an unknown event may be the id of
 * something else, as it is in `ONCRMDEALRECURRINGEXPOSE`, and two things must not share a key. Events of bots,
 * connectors, open lines, telephony and signing, of addresses and of the application name no thing with one id.
 *
 * Kinds are parts of keys, which messages in queues and dead letters hold: a kind stays once it is released.
 */
export const FAMILIES: readonly Family[] = [
  fields('CRMLEAD', 'crm/leads/events'),
  fields('CRMDEAL', 'crm/deals/events', ['MOVETOCATEGORY']),
  fields('CRMCONTACT', 'crm/contacts/events'),
  fields('CRMCOMPANY', 'crm/companies/events'),
  fields('CRMQUOTE', 'crm/quote/events'),
  fields('CRMINVOICE', 'crm/outdated/invoice/events-invoice', ['SETSTATUS']),
  fields('CRMDYNAMICITEM', 'crm/universal/events'),
  fields('CRMTYPE', 'crm/universal/events/type'),
  fields('CRMACTIVITY', 'crm/timeline/activities/events'),
  fields('CRMCURRENCY', 'crm/currency/events'),
  fields('CRMREQUISITE', 'crm/requisites/events'),
  fields('CRMBANKDETAIL', 'crm/requisites/events'),
  fields('CRMDOCUMENTGENERATORDOCUMENT', 'crm/document-generator/documents/events'),
  fields('CRMPRODUCT', 'crm/outdated/products/events-custom'),
  fields('CRMPRODUCTPROPERTY', 'crm/outdated/products/events-custom'),
  fields('CRMPRODUCTSECTION', 'crm/outdated/product-section/events'),
  fields('CRMMEASURE', 'crm/outdated/measure/events'),
  // The page prints data[ID]; a captured request has data[FIELDS][ID].
  family('CRMTIMELINECOMMENT', CHANGES, ['FIELDS.ID', 'ID'], 'crm/timeline/comments/events'),

  // FIELDS.ID is the record of a template's settings …
  fields('CRMDEALRECURRING', 'crm/deals/recurring-deals/events'),
  fields('CRMINVOICERECURRING', 'crm/outdated/invoice/events-invoice'),
  // … also here, where the news is what was made of the template. Not the deal's own key: the event comes once, and its
  // data must not give way to those of the deal's move to another category.
  familyOf(
    'CRMDEALEXPOSED',
    ['ONCRMDEALRECURRINGEXPOSE'],
    ['FIELDS.DEAL_ID'],
    'crm/deals/recurring-deals/events/on-crm-deal-recurring-expose.md',
  ),
  familyOf(
    'CRMINVOICEEXPOSED',
    ['ONCRMINVOICERECURRINGEXPOSE'],
    ['FIELDS.INVOICE_ID'],
    'crm/outdated/invoice/events-invoice/on-crm-invoice-recurring-expose.md',
  ),

  userField('CRMLEAD', 'crm/leads/userfield/events'),
  userField('CRMDEAL', 'crm/deals/user-defined-fields/events'),
  userField('CRMCONTACT', 'crm/contacts/userfield/events'),
  userField('CRMCOMPANY', 'crm/companies/userfields/events'),
  userField('CRMQUOTE', 'crm/quote/user-field/events'),
  userField('CRMREQUISITE', 'crm/requisites/events'),
  userField('CRMTYPE', 'crm/universal/userfieldconfig/events'),
  // The page has `id` where its neighbours have FIELDS.ID, and prints no request.
  family(
    'CRMINVOICEUSERFIELD',
    USER_FIELD_CHANGES,
    ['id', 'FIELDS.ID'],
    'crm/outdated/invoice/events-invoice',
  ),

  catalog('MEASURE', 'measure'),
  catalog('PRICE', 'price'),
  catalog('PRICE.TYPE', 'price-type'),
  catalog('PRODUCT', 'product'),
  catalog('ROUNDING', 'rounding-rule'),

  familyOf(
    'ORDER',
    ['ONORDERENTITYSAVED', 'ONORDERDELETED', 'ONSALEORDERSAVED', 'ONSALEBEFOREORDERDELETE'],
    ['FIELDS.ID'],
    'sale/events',
  ),
  family('PAYMENT', ['ENTITYSAVED', 'DELETED'], ['FIELDS.ID'], 'sale/events'),
  family('SHIPMENT', ['ENTITYSAVED', 'DELETED'], ['FIELDS.ID'], 'sale/events'),
  family('PROPERTYVALUE', ['ENTITYSAVED', 'DELETED'], ['FIELDS.ID'], 'sale/events'),

  // What there is on one side of the change only has the text `undefined` on the other.
  family('TASK', CHANGES, ['FIELDS_AFTER.ID', 'FIELDS_BEFORE.ID'], 'tasks/events-tasks'),
  {
    names: CHANGES.map((verb) => `ONTASKCOMMENT${verb}`),
    // With the task card of tasks 25.700.0, ID is 0 and the comment is a chat message, whose ids are others.
    ids: [
      { kind: 'TASKCOMMENT', path: ['FIELDS_AFTER', 'ID'] },
      { kind: 'TASKCOMMENT', path: ['FIELDS_BEFORE', 'ID'] },
      { kind: 'TASKMESSAGE', path: ['FIELDS_AFTER', 'MESSAGE_ID'] },
      { kind: 'TASKMESSAGE', path: ['FIELDS_BEFORE', 'MESSAGE_ID'] },
    ],
    doc: 'tasks/comment-item/events-comment',
  },

  family('BOOKING', CHANGES, ['ID'], 'booking/booking/events'),
  family('BOOKINGRESOURCE', CHANGES, ['ID'], 'booking/resource/events'),
  family('BOOKINGRESOURCETYPE', CHANGES, ['ID'], 'booking/resource/resource-type/events'),
  family('BOOKINGWAITLISTITEM', CHANGES, ['ID'], 'booking/waitlist/events'),
  family('CALENDARENTRY', CHANGES, ['id'], 'calendar/calendar-event/events'),
  family('CALENDARSECTION', CHANGES, ['id'], 'calendar/events'),
  family('LIVEFEEDPOST', CHANGES, ['FIELDS.POST_ID'], 'log/events'),
  family('SONETGROUP', CHANGES, ['FIELDS.ID'], 'sonet-group/events'),
  family('SONETGROUPSUBJECT', CHANGES, ['ID'], 'sonet-group/outdated'),
  family('USER', ['ADD'], ['ID'], 'common/events/on-user-add.md'),
  family('SIGNHCMLINKB2EDOCUMENT', ['SIGNED'], ['id'], 'sign/events'),
];

const familyByName = new Map(FAMILIES.flatMap((row) => row.names.map((name) => [name, row] as const)));

const DYNAMIC_ITEM = 'ONCRMDYNAMICITEM';

/**
 * Usually a number; a currency's id is a code, `CHE`. Printable ASCII, because it becomes part of a key. Bitrix24 counts
 * from 1: `0` stands for no id, `007` is none that it writes.
 */
const ENTITY_ID = /^(?!0\d*$|undefined$)[!-~]{1,64}$/;

/** Whether events of this base name, in upper case, name a thing: those of others are never merged. */
export function namesEntity(name: string): boolean {
  return familyByName.has(name);
}

/**
 * Finds the thing of an event by the event's name, see {@link FAMILIES}. Of an event that is not listed, `entityId` is
 * `data[FIELDS][ID]`, and `entity` null. An invalid id is read as absent and not rejected: consumers that need only
 * `data` still get the event.
 *
 * Of smart process items the type is read, too. If the suffix and ENTITY_TYPE_ID differ, the suffix wins: the portal
 * selected the subscriber by it. In other events ENTITY_TYPE_ID is the type of an _owner_ (of a document, an address).
 */
export function readEntity(name: string, suffixTypeId: number, data: FormTree): EntityReference {
  const row = familyByName.get(name);
  const entityTypeId =
    suffixTypeId || (name.startsWith(DYNAMIC_ITEM) ? toEntityTypeId(idText(data, TYPE_PATH)) : 0);
  if (!row) return { entityTypeId, entityId: readId(data, FIELDS_ID) ?? null, entity: null };
  for (const { kind, path } of row.ids) {
    const entityId = readId(data, path);
    if (entityId === undefined) continue;
    // Ids of two smart processes overlap: without the type the item is unknown, and two items must not share a key.
    const isAmbiguous = entityTypeId === 0 && name.startsWith(DYNAMIC_ITEM);
    const typedKind = entityTypeId === 0 ? kind : `${kind}_${entityTypeId}`;
    return { entityTypeId, entityId, entity: isAmbiguous ? null : `${typedKind}:${entityId}` };
  }
  return { entityTypeId, entityId: null, entity: null };
}

const FIELDS_ID: IdPath = ['FIELDS', 'ID'];
const TYPE_PATH: IdPath = ['FIELDS', 'ENTITY_TYPE_ID'];

function readId(data: FormTree, path: IdPath): string | undefined {
  const id = idText(data, path);
  return id !== undefined && ENTITY_ID.test(id) ? id : undefined;
}

/** @param path of one or two keys */
function idText(data: FormTree, [first = '', second]: IdPath): string | undefined {
  if (second === undefined) return textAt(data, first);
  const tree = treeAt(data, first);
  return tree && textAt(tree, second);
}

/**
 * Whether the data of an event that names a thing have anything beside its id (and the type of a smart process item):
 * `{ FIELDS: { ID: '82' } }` has not.
 */
export function carriesMoreThanKey(data: FormTree, entityTypeId: number): boolean {
  let texts = 0;
  for (const key in data) {
    const value = data[key];
    if (!isTree(value)) {
      if (++texts > 1) return true;
      continue;
    }
    for (const inner in value) {
      // A tree here is never an id.
      if (isTree(value[inner])) return true;
      const isType = entityTypeId !== 0 && inner === 'ENTITY_TYPE_ID';
      if (!isType && ++texts > 1) return true;
    }
  }
  return false;
}

/**
 * The data of an event that names this thing and carries nothing else, as Bitrix24 sends them; undefined if events of this
 * name do not name such a thing.
 * @param entity as `PortalEvent` has it
 */
export function keyOnlyData(name: string, entityTypeId: number, entity: string): FormTree | undefined {
  const entityId = entity.slice(entity.indexOf(':') + 1);
  for (const { path } of familyByName.get(name)?.ids ?? []) {
    const [first = '', second] = path;
    const data = emptyTree();
    if (second === undefined) data[first] = entityId;
    else {
      const tree = emptyTree();
      tree[second] = entityId;
      if (name.startsWith(DYNAMIC_ITEM)) tree.ENTITY_TYPE_ID = String(entityTypeId);
      data[first] = tree;
    }
    if (readEntity(name, 0, data).entity === entity) return data;
  }
  return undefined;
}
