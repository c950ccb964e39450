import { z } from 'zod';
import type { PortalEvent } from './event.js';

/** Every scalar of a form is text: `'82'`, `'Y'`, `'1'`; false is `'0'`. PHP leaves out null and empty arrays. */
const text = z.string();
const optional = text.optional();
/** A PHP list arrives as a tree with the keys `0`, `1`, …; others have ids as keys. */
const each = <S extends z.ZodType>(element: S) => z.record(z.string(), element);
const fields = <S extends z.ZodRawShape>(shape: S) => z.object({ FIELDS: z.object(shape) });

const VERBS = ['ADD', 'UPDATE', 'DELETE'] as const;

/** `ON<kind>ADD`, `…UPDATE`, `…DELETE` of each kind. */
function changesOf<const K extends string>(...kinds: readonly K[]) {
  return kinds.flatMap((kind) => VERBS.map((verb) => `ON${kind}${verb}` as const));
}

function userFieldChangesOf<const K extends string>(...kinds: readonly K[]) {
  return kinds.flatMap((kind) =>
    ([...VERBS, 'SETENUMVALUES'] as const).map((verb) => `ON${kind}USERFIELD${verb}` as const),
  );
}

function catalogChangesOf<const K extends string>(...kinds: readonly K[]) {
  return kinds.flatMap((kind) => VERBS.map((verb) => `CATALOG.${kind}.ON.${verb}` as const));
}

/** Events whose data have one shape. */
interface DataRow<K extends string, S extends z.ZodType> {
  /** Names the shape in `docs/asyncapi.yaml`. */
  readonly shape: string;
  /** Base names in upper case. */
  readonly names: readonly K[];
  readonly data: S;
}

function row<const K extends string, S extends z.ZodType>(
  shape: string,
  names: readonly K[],
  data: S,
): DataRow<K, S> {
  return { shape, names, data };
}

const bot = each(z.object({ BOT_ID: text, BOT_CODE: text }));
const botUser = z
  .object({
    ID: text,
    NAME: optional,
    FIRST_NAME: optional,
    LAST_NAME: optional,
    WORK_POSITION: optional,
    GENDER: optional,
    IS_BOT: optional,
    IS_CONNECTOR: optional,
    IS_NETWORK: optional,
    IS_EXTRANET: optional,
  })
  .optional();
/** What the messages of a private chat and of a group chat have in common; each has more of its own. */
const botMessage = z.object({
  MESSAGE: optional,
  MESSAGE_ID: text,
  MESSAGE_TYPE: text,
  DIALOG_ID: text,
  FROM_USER_ID: optional,
  TO_USER_ID: optional,
  AUTHOR_ID: optional,
  CHAT_ID: optional,
  CHAT_TYPE: optional,
  CHAT_TITLE: optional,
  CHAT_AUTHOR_ID: optional,
  CHAT_ENTITY_TYPE: optional,
  CHAT_ENTITY_ID: optional,
  CHAT_ENTITY_DATA_1: optional,
  CHAT_ENTITY_DATA_2: optional,
  CHAT_ENTITY_DATA_3: optional,
  CHAT_USER_COUNT: optional,
  MESSAGE_ORIGINAL: optional,
  MENTIONED_LIST: each(text).optional(),
  LANGUAGE: optional,
});

const bot2 = z.object({ id: text, code: text, type: optional, language: optional, eventMode: optional });
const chat2 = z.object({
  id: text,
  dialogId: optional,
  type: optional,
  name: optional,
  entityType: optional,
  owner: optional,
});
const user2 = z.object({
  id: text,
  name: optional,
  firstName: optional,
  lastName: optional,
  workPosition: optional,
  gender: optional,
  type: optional,
});
const message2 = z.object({
  id: optional,
  chatId: text,
  authorId: optional,
  date: optional,
  text: optional,
  uuid: optional,
});

const connector = z.object({ connector_id: text, line_id: text, chat_id: text, user_id: text });
const session = each(
  z.object({
    connector,
    session: z.object({ id: text, closed: optional, parent_id: optional, close_term: optional }),
    chat: z.object({ id: text }),
    user: z.object({ id: text }).optional(),
  }),
);
const externalMessage = <S extends z.ZodType>(message: S) =>
  each(
    z.object({
      im: z.object({ chat_id: text, message_id: text }),
      message,
      chat: z.object({ id: text }),
    }),
  );

/** What there is on one side of a change only has the text `undefined` on the other. */
const side = <S extends z.ZodRawShape>(shape: S) => z.union([z.literal('undefined'), z.object(shape)]);
const access = { IS_ACCESSIBLE_BEFORE: text, IS_ACCESSIBLE_AFTER: text };

/**
 * The `data` of every documented event, as they arrive, without secrets: the source of the types of handlers, of the
 * check in development, and of `docs/asyncapi.yaml`. Sources: the pages of b24restdocs that `samples/events.jsonl`
 * names beside each event. Only what a page promises is required; what it does not mention may be there.
 */
export const DATA_ROWS = [
  row(
    'FieldsId',
    [
      ...changesOf(
        'CRMLEAD',
        'CRMDEAL',
        'CRMCONTACT',
        'CRMCOMPANY',
        'CRMQUOTE',
        'CRMINVOICE',
        'CRMTYPE',
        'CRMACTIVITY',
        'CRMCURRENCY',
        'CRMREQUISITE',
        'CRMBANKDETAIL',
        'CRMPRODUCT',
        'CRMPRODUCTPROPERTY',
        'CRMPRODUCTSECTION',
        'CRMMEASURE',
        'SONETGROUP',
      ),
      'ONCRMINVOICESETSTATUS',
      'ONCRMDEALRECURRINGDELETE',
      'ONCRMINVOICERECURRINGDELETE',
      ...catalogChangesOf('MEASURE', 'PRICE', 'PRICE.TYPE', 'ROUNDING'),
      'ONORDERENTITYSAVED',
      'ONORDERDELETED',
      'ONPAYMENTENTITYSAVED',
      'ONPAYMENTDELETED',
      'ONSHIPMENTENTITYSAVED',
      'ONSHIPMENTDELETED',
      'ONPROPERTYVALUEENTITYSAVED',
      'ONPROPERTYVALUEDELETED',
    ],
    fields({ ID: text }),
  ),
  row('DynamicItem', changesOf('CRMDYNAMICITEM'), fields({ ID: text, ENTITY_TYPE_ID: text })),
  row(
    'DealMovedToCategory',
    ['ONCRMDEALMOVETOCATEGORY'],
    fields({ ID: text, CATEGORY_ID: text, STAGE_ID: text }),
  ),
  row(
    'RecurringDeal',
    ['ONCRMDEALRECURRINGADD', 'ONCRMDEALRECURRINGUPDATE'],
    fields({ ID: text, RECURRING_DEAL_ID: text }),
  ),
  row(
    'RecurringDealExposed',
    ['ONCRMDEALRECURRINGEXPOSE'],
    fields({ ID: text, RECURRING_DEAL_ID: text, DEAL_ID: text }),
  ),
  row(
    'RecurringInvoice',
    ['ONCRMINVOICERECURRINGADD', 'ONCRMINVOICERECURRINGUPDATE'],
    fields({ ID: text, RECURRING_INVOICE_ID: text }),
  ),
  row(
    'RecurringInvoiceExposed',
    ['ONCRMINVOICERECURRINGEXPOSE'],
    fields({ ID: text, RECURRING_INVOICE_ID: text, INVOICE_ID: text }),
  ),
  row(
    'UserField',
    userFieldChangesOf(
      'CRMLEAD',
      'CRMDEAL',
      'CRMCONTACT',
      'CRMCOMPANY',
      'CRMQUOTE',
      'CRMREQUISITE',
      'CRMTYPE',
    ),
    fields({ ID: text, ENTITY_ID: text, FIELD_NAME: text }),
  ),
  row(
    'OldInvoiceUserField',
    userFieldChangesOf('CRMINVOICE'),
    z.object({ id: text, entityId: text, fieldName: text }),
  ),
  row(
    'GeneratedDocument',
    changesOf('CRMDOCUMENTGENERATORDOCUMENT'),
    fields({ ID: text, ENTITY_TYPE_ID: text, ENTITY_ID: text }),
  ),
  row(
    'Address',
    ['ONCRMADDRESSREGISTER', 'ONCRMADDRESSUNREGISTER'],
    fields({
      TYPE_ID: text,
      ENTITY_TYPE_ID: text,
      ENTITY_ID: text,
      ANCHOR_ID: optional,
      ANCHOR_TYPE_ID: optional,
    }),
  ),
  // The page prints data[ID]; a captured request has data[FIELDS][ID].
  row(
    'TimelineComment',
    changesOf('CRMTIMELINECOMMENT'),
    z.union([z.object({ ID: text }), fields({ ID: text })]),
  ),
  row('CatalogProduct', catalogChangesOf('PRODUCT'), fields({ ID: text, TYPE: text })),
  row(
    'Order',
    ['ONSALEORDERSAVED', 'ONSALEBEFOREORDERDELETE'],
    fields({ ID: text, XML_ID: optional, ACTION: text }),
  ),
  row(
    'Id',
    changesOf(
      'BOOKING',
      'BOOKINGRESOURCE',
      'BOOKINGRESOURCETYPE',
      'BOOKINGWAITLISTITEM',
      'SONETGROUPSUBJECT',
    ),
    z.object({ ID: text }),
  ),
  row('Calendar', changesOf('CALENDARENTRY', 'CALENDARSECTION'), z.object({ id: text })),
  row('LiveFeedPost', changesOf('LIVEFEEDPOST'), fields({ POST_ID: text })),
  row(
    'User',
    ['ONUSERADD'],
    z.object({
      ID: text,
      ACTIVE: text,
      EMAIL: optional,
      NAME: optional,
      LAST_NAME: optional,
      PERSONAL_GENDER: optional,
      PERSONAL_BIRTHDAY: optional,
      UF_DEPARTMENT: each(text).optional(),
      DATE_REGISTER: text,
      WORK_POSITION: optional,
      UF_EMPLOYMENT_DATE: optional,
    }),
  ),
  row(
    'Task',
    changesOf('TASK'),
    z.object({ FIELDS_BEFORE: side({ ID: text }), FIELDS_AFTER: side({ ID: text }), ...access }),
  ),
  row(
    'TaskComment',
    changesOf('TASKCOMMENT'),
    z.object({
      FIELDS_BEFORE: side({ ID: text, TASK_ID: text }),
      // MESSAGE_ID: with the task card of tasks 25.700.0, where ID is 0 and the comment is a chat message.
      FIELDS_AFTER: side({ ID: text, TASK_ID: text, MESSAGE_ID: optional, ACTION: optional }),
      ...access,
    }),
  ),
  row(
    'BotMessage',
    ['ONIMBOTMESSAGEADD', 'ONIMBOTMESSAGEUPDATE', 'ONIMBOTMESSAGEDELETE'],
    z.object({ BOT: bot, PARAMS: botMessage, USER: botUser }),
  ),
  row(
    'BotJoinedChat',
    ['ONIMBOTJOINCHAT'],
    z.object({
      BOT: bot,
      PARAMS: z.object({
        DIALOG_ID: text,
        CHAT_TYPE: optional,
        MESSAGE_TYPE: optional,
        BOT_ID: optional,
        USER_ID: optional,
        CHAT_ID: optional,
        CHAT_AUTHOR_ID: optional,
        CHAT_ENTITY_TYPE: optional,
        CHAT_ENTITY_ID: optional,
        LANGUAGE: optional,
      }),
      USER: botUser,
    }),
  ),
  row('BotDeleted', ['ONIMBOTDELETE'], z.object({ BOT_ID: text, BOT_CODE: text })),
  row(
    'BotCommand',
    ['ONIMCOMMANDADD'],
    z.object({
      COMMAND: each(
        z.object({
          BOT_ID: text,
          BOT_CODE: text,
          COMMAND: text,
          COMMAND_ID: text,
          COMMAND_PARAMS: optional,
          COMMAND_CONTEXT: optional,
          MESSAGE_ID: text,
        }),
      ),
      PARAMS: botMessage,
      USER: botUser,
    }),
  ),
  row(
    'Bot2Message',
    ['ONIMBOTV2MESSAGEADD'],
    // A tutorial prints the event of an open line without bot and user.
    z.object({
      bot: bot2.optional(),
      message: message2,
      chat: chat2,
      user: user2.optional(),
      language: optional,
    }),
  ),
  row(
    'Bot2JoinedChat',
    ['ONIMBOTV2JOINCHAT'],
    z.object({ bot: bot2, dialogId: text, chat: chat2, user: user2, language: optional }),
  ),
  row('Bot2Deleted', ['ONIMBOTV2DELETE'], z.object({ bot: bot2 })),
  row(
    'Bot2ContextAsked',
    ['ONIMBOTV2CONTEXTGET'],
    z.object({
      bot: bot2,
      dialogId: text,
      context: z.object({ entityId: optional, entityType: optional, source: optional }).optional(),
      chat: chat2,
      user: user2,
      language: optional,
    }),
  ),
  row(
    'Bot2Command',
    ['ONIMBOTV2COMMANDADD'],
    z.object({
      bot: bot2,
      command: z.object({ id: text, command: text, params: optional, context: optional }),
      message: message2,
      chat: chat2,
      user: user2,
      language: optional,
    }),
  ),
  row(
    'Bot2Reaction',
    ['ONIMBOTV2REACTIONCHANGE'],
    z.object({
      bot: bot2,
      reaction: text,
      action: text,
      message: message2,
      chat: chat2,
      user: user2,
      language: optional,
    }),
  ),
  row(
    'ConnectorDialog',
    ['ONIMCONNECTORDIALOGSTART', 'ONIMCONNECTORDIALOGFINISH'],
    z.object({ CONNECTOR: text, LINE: text, DATA: session }),
  ),
  // The whole `data` is a number, which the decoder keeps as `value`.
  row('ConnectorLineDeleted', ['ONIMCONNECTORLINEDELETE'], z.object({ value: text })),
  row(
    'ConnectorMessageAdded',
    ['ONIMCONNECTORMESSAGEADD'],
    z.object({
      CONNECTOR: text,
      LINE: text,
      MESSAGES: externalMessage(z.object({ user_id: text, text: optional })),
    }),
  ),
  row(
    'ConnectorMessageUpdated',
    ['ONIMCONNECTORMESSAGEUPDATE'],
    z.object({
      CONNECTOR: text,
      LINE: text,
      MESSAGES: externalMessage(z.object({ id: each(text), text: optional })),
    }),
  ),
  row(
    'ConnectorMessageDeleted',
    ['ONIMCONNECTORMESSAGEDELETE'],
    z.object({ CONNECTOR: text, LINE: text, MESSAGES: externalMessage(z.object({ id: text })) }),
  ),
  row('ConnectorDisabled', ['ONIMCONNECTORSTATUSDELETE'], z.object({ connector: text, line: text })),
  row(
    'OpenLineMessageAdded',
    ['ONOPENLINEMESSAGEADD'],
    z.object({
      DATA: each(
        z.object({
          connector,
          chat: z.object({ id: text }),
          message: z.object({
            id: text,
            date: optional,
            text: optional,
            attach: optional,
            system: optional,
            user_id: optional,
          }),
          extra: z.object({ EXTRA_URL: optional }).optional(),
        }),
      ),
    }),
  ),
  row(
    'OpenLineMessageChanged',
    ['ONOPENLINEMESSAGEUPDATE', 'ONOPENLINEMESSAGEDELETE'],
    z.object({ CONNECTOR: text, LINE: text, DATA: externalMessage(z.object({ id: text })) }),
  ),
  row('OpenLineSession', ['ONSESSIONSTART', 'ONSESSIONFINISH'], z.object({ DATA: session })),
  row(
    'ExternalCallBack',
    ['ONEXTERNALCALLBACKSTART'],
    z.object({
      PHONE_NUMBER: text,
      TEXT: optional,
      VOICE: optional,
      CRM_ENTITY_TYPE: optional,
      CRM_ENTITY_ID: optional,
      LINE_NUMBER: optional,
    }),
  ),
  row(
    'ExternalCall',
    ['ONEXTERNALCALLSTART'],
    z.object({
      PHONE_NUMBER: text,
      PHONE_NUMBER_INTERNATIONAL: optional,
      EXTENSION: optional,
      USER_ID: text,
      CALL_LIST_ID: optional,
      LINE_NUMBER: optional,
      IS_MOBILE: optional,
      CALL_ID: optional,
      CRM_ENTITY_TYPE: optional,
      CRM_ENTITY_ID: optional,
    }),
  ),
  row(
    'CallInitiated',
    ['ONVOXIMPLANTCALLINIT'],
    z.object({
      CALL_ID: text,
      CALL_TYPE: text,
      CALLER_ID: optional,
      ACCOUNT_SEARCH_ID: optional,
      PHONE_NUMBER: optional,
      REST_APP_ID: optional,
    }),
  ),
  row('CallStarted', ['ONVOXIMPLANTCALLSTART'], z.object({ CALL_ID: text, USER_ID: text })),
  row(
    'CallEnded',
    ['ONVOXIMPLANTCALLEND'],
    z.object({
      CALL_ID: text,
      CALL_TYPE: text,
      PHONE_NUMBER: optional,
      PORTAL_NUMBER: optional,
      PORTAL_USER_ID: optional,
      CALL_DURATION: optional,
      CALL_START_DATE: optional,
      COST: optional,
      COST_CURRENCY: optional,
      CALL_FAILED_CODE: optional,
      CALL_FAILED_REASON: optional,
      CRM_ACTIVITY_ID: optional,
    }),
  ),
  row(
    'SignedDocumentStatus',
    ['ONSIGNB2EDOCUMENTSTATUSCHANGED'],
    z.object({ documentUid: text, statusCode: text, statusName: optional }),
  ),
  row(
    'SignerStatus',
    ['ONSIGNB2EMEMBERSTATUSCHANGED'],
    z.object({ memberUid: text, documentUid: text, statusCode: text, statusName: optional }),
  ),
  row('DocumentSigned', ['ONSIGNHCMLINKB2EDOCUMENTSIGNED'], z.object({ id: text, company: optional })),
  row(
    'AppInstalled',
    ['ONAPPINSTALL'],
    z.object({ VERSION: optional, ACTIVE: optional, INSTALLED: optional, LANGUAGE_ID: optional }),
  ),
  row(
    'AppUpdated',
    ['ONAPPUPDATE'],
    z.object({ VERSION: optional, PREVIOUS_VERSION: optional, LANGUAGE_ID: optional }),
  ),
  row('AppUninstalled', ['ONAPPUNINSTALL'], z.object({ CLEAN: optional, LANGUAGE_ID: optional })),
  row(
    'AppPayment',
    ['ONAPPPAYMENT'],
    z.object({
      CODE: optional,
      VERSION: optional,
      STATUS: optional,
      PAYMENT_EXPIRED: optional,
      DAYS: optional,
      LANGUAGE_ID: optional,
    }),
  ),
  // Without its TOKEN, which is a secret.
  row(
    'AppMethodConfirmed',
    ['ONAPPMETHODCONFIRM'],
    z.object({ METHOD: text, CONFIRMED: text, LANGUAGE_ID: optional }),
  ),
  row('AppTest', ['ONAPPTEST'], z.object({ QUERY: each(text).optional(), LANGUAGE_ID: optional })),
  row('AppSettings', ['ONAPPSETTINGSCHANGE'], each(z.unknown())),
  row('None', ['ONOFFLINEEVENT', 'ONAPPSETTINGSINSTALL', 'ONAPPSETTINGSDISPLAY'], z.object({})),
] as const;

type AnyRow = (typeof DATA_ROWS)[number];

/** A documented event, by its base name in upper case. */
export type EventName = AnyRow['names'][number];

/** As `event.bind` takes it: the base name, of the items of a smart process also with its entityTypeId. */
export type BoundEventName = EventName | `${Extract<EventName, `ONCRMDYNAMICITEM${string}`>}_${number}`;

/** The base name of a bound one: `ONCRMDYNAMICITEMADD` of `ONCRMDYNAMICITEMADD_147`. */
export type BaseEventName<N extends BoundEventName> = N extends EventName
  ? N
  : N extends `${infer B extends EventName}_${number}`
    ? B
    : never;

/** The `data` of events of these names. */
export type EventData<N extends BoundEventName> = DataOf<AnyRow, BaseEventName<N>>;

type DataOf<R, N extends EventName> =
  R extends DataRow<infer K, infer S> ? ([K & N] extends [never] ? never : z.output<S>) : never;

const schemaByName = new Map<string, z.ZodType>(
  DATA_ROWS.flatMap(({ names, data }) => names.map((name): [string, z.ZodType] => [name, data])),
);

/** A key that may stand in a log line; others are the portal's, or its users'. */
const SHOWN_KEY = /^[A-Za-z_][A-Za-z_0-9]{0,39}$/;

/**
 * Where the data of an event differ from the documentation, such as `FIELDS.ID`; undefined if they do not, or if the
 * event is not documented. Keys that the documentation does not mention are no difference. Contains no value.
 */
export function findDataMismatch({ name, data }: Pick<PortalEvent, 'name' | 'data'>): string | undefined {
  const checked = schemaByName.get(name)?.safeParse(data);
  const [issue] = checked?.error?.issues ?? [];
  if (!issue) return undefined;
  const path = issue.path.map((key) => (SHOWN_KEY.test(String(key)) ? String(key) : '*'));
  return path.join('.') || 'data';
}
