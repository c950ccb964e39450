import { randomUUID } from 'node:crypto';
import { EventError, type EventField } from './event-error.js';
import { parseEventName, toEntityTypeId } from './event-name.js';
import { emptyTree, type FormTree, hostAt, isTree, textAt, treeAt } from './form-tree.js';
import { withoutSecrets } from './secrets.js';

/** One event of one portal, without any secret. */
export interface PortalEvent {
  /** A UUID made at receipt: Bitrix24 sends no delivery id. */
  id: string;
  /** Which portal: the only name of it that never changes. */
  memberId: string;
  /** Base name in upper case, without the suffix of a smart process. */
  name: string;
  /** Of a smart process item, from the suffix or from ENTITY_TYPE_ID; else 0. */
  entityTypeId: number;
  /** data[FIELDS][ID]; null where there is none. */
  entityId: string | null;
  /** Equal for ADD, UPDATE and DELETE of one thing: `CRMCONTACT:82`, `CRMDYNAMICITEM_147:5`. Null without an id, and for a smart process item without its type. */
  entity: string | null;
  /** What the event carries, as PHP would hold it, less any secrets. A bare `data=107` (ONIMCONNECTORLINEDELETE) is `{ value: '107' }`. */
  data: FormTree;
  /** Seconds: when Bitrix24's queue sent it. */
  ts: number;
  /** Milliseconds: when we got it. */
  receivedAt: number;
  /** Of the trace that it belongs to, ours and not the sender's (W3C Trace Context, version 00); absent while nothing is traced. */
  traceparent?: string | undefined;
}

/**
 * What `auth` says. Unproven until `applicationToken` has been compared with the portal's own. Tokens are absent where a
 * robot or a workflow caused the change, and for outgoing webhooks.
 */
export interface EventCredentials {
  /** Empty where the event brought none (as in the sample of ONAPPPAYMENT): that matches no portal's token. */
  applicationToken: string;
  /** Empty where the event named none. */
  domain: string;
  /** Which OAuth server the tokens say they belong to, `host[:port]`: a choice among those that are believed, no address. */
  oauthHost?: string;
  accessToken?: string;
  refreshToken?: string;
}

/** What must be known of an event before it is proved: of the rest nothing is read, since anybody can post a form. */
export interface EventEnvelope {
  memberId: string;
  /** As `PortalEvent` has it. */
  name: string;
  /** The smart process that the name's suffix says; else 0. */
  suffixTypeId: number;
  /** Seconds; undefined where the form has none. */
  ts: number | undefined;
  credentials: EventCredentials;
}

/** What an event is about, as `PortalEvent` has it. */
interface EntityReference {
  entityTypeId: number;
  entityId: string | null;
  entity: string | null;
}

const DYNAMIC_ITEM = 'ONCRMDYNAMICITEM';

/** Numbers nearly always; a currency's id is a code, `CHE`. Printable ASCII, since it becomes part of a key. */
const ENTITY_ID = /^[!-~]{1,64}$/;

/** 32 hexadecimal digits in every sample. It becomes part of keys, so nothing else than letters, digits, `_` and `-` is let in. */
export const MEMBER_ID = /^[\w-]{1,64}$/;

/** 32 hexadecimal digits in every sample. A longer one is nobody's, and is not worth a search or a hash. */
const MAX_APPLICATION_TOKEN_LENGTH = 255;

/**
 * Reads what proves an event (api-reference/events/index.md): `event` and `auth[member_id]` must be there. Its cost grows
 * with the length of these fields alone. Throws EventError.
 */
export function parseEnvelope(form: FormTree): EventEnvelope {
  const auth = treeAt(form, 'auth') ?? emptyTree();
  const { name, entityTypeId: suffixTypeId } = parseEventName(required(form, 'event', 'event'));
  const credentials = readCredentials(auth);
  return { memberId: readMemberId(auth), name, suffixTypeId, ts: readTs(form), credentials };
}

/**
 * The whole event of a form whose envelope has been proved, without its secrets.
 *
 * @param receivedAt in ms; stands in for a missing `ts` (OnAppSettingsInstall has none)
 */
export function openEvent(form: FormTree, envelope: EventEnvelope, receivedAt: number): PortalEvent {
  const { memberId, name, suffixTypeId, ts, credentials } = envelope;
  const { applicationToken, accessToken, refreshToken } = credentials;
  const data = withoutSecrets(readData(form), [applicationToken, accessToken, refreshToken]);
  return {
    id: randomUUID(),
    memberId,
    name,
    ...readEntity(name, suffixTypeId, data),
    data,
    ts: ts ?? Math.floor(receivedAt / 1000),
    receivedAt,
  };
}

export function readMemberId(tree: FormTree, field: EventField = 'auth[member_id]'): string {
  const memberId = required(tree, 'member_id', field);
  if (!MEMBER_ID.test(memberId)) throw new EventError('malformed-field', field);
  return memberId;
}

/** Throws EventError `missing-field`. */
function required(tree: FormTree, key: string, field: EventField): string {
  const text = textAt(tree, key);
  if (text === undefined) throw new EventError('missing-field', field);
  return text;
}

export function readCredentials(auth: FormTree): EventCredentials {
  const applicationToken = textAt(auth, 'application_token') ?? '';
  if (applicationToken.length > MAX_APPLICATION_TOKEN_LENGTH) {
    throw new EventError('malformed-field', 'auth[application_token]');
  }
  return {
    applicationToken,
    domain: textAt(auth, 'domain') ?? '',
    // Parsing an address takes longer than all other fields together, and few events need it.
    get oauthHost() {
      return hostAt(auth, 'server_endpoint');
    },
    accessToken: textAt(auth, 'access_token'),
    refreshToken: textAt(auth, 'refresh_token'),
  };
}

function readTs(form: FormTree): number | undefined {
  const ts = form.ts;
  if (ts === undefined) return undefined;
  if (isTree(ts) || !/^\d{1,12}$/.test(ts)) throw new EventError('malformed-field', 'ts');
  return Number(ts);
}

/** An empty PHP array leaves no trace in a form, so no `data` at all is an empty one (ONOFFLINEEVENT). */
function readData(form: FormTree): FormTree {
  const { data } = form;
  if (isTree(data)) return data;
  const tree = emptyTree();
  if (data !== undefined && data !== '') tree.value = data;
  return tree;
}

/**
 * Reads `data[FIELDS][ID]` and, for smart process items, `data[FIELDS][ENTITY_TYPE_ID]`.
 *
 * Where a suffix and ENTITY_TYPE_ID disagree, the suffix wins: it is what the portal chose the subscriber by.
 * In other events ENTITY_TYPE_ID is the type of an *owner* (of a document, an address) and says nothing about the entity.
 * An id that is none is read as absent rather than refused: whoever needs only `data` still gets the event.
 */
export function readEntity(name: string, suffixTypeId: number, data: FormTree): EntityReference {
  const fields = treeAt(data, 'FIELDS');
  const id = fields && textAt(fields, 'ID');
  const entityId = id !== undefined && ENTITY_ID.test(id) ? id : null;
  if (!name.startsWith(DYNAMIC_ITEM)) {
    return { entityTypeId: suffixTypeId, entityId, entity: entityKey(name, suffixTypeId, entityId) };
  }
  const entityTypeId = suffixTypeId || toEntityTypeId(fields && textAt(fields, 'ENTITY_TYPE_ID'));
  // Ids of two smart processes overlap: without the type nobody knows which item it is, and no two may be taken for one.
  const entity = entityTypeId === 0 ? null : entityKey(name, entityTypeId, entityId);
  return { entityTypeId, entityId, entity };
}

/** `CRMCONTACT:82`, `CRMDYNAMICITEM_147:5`, `CATALOG.PRICE:7`: the name without what happened. */
function entityKey(name: string, entityTypeId: number, entityId: string | null): string | null {
  if (entityId === null) return null;
  const kind = name.replace(/^ON/, '').replace(/(?:\.ON\.)?(?:ADD|UPDATE|DELETE)$/, '');
  return entityTypeId === 0 ? `${kind}:${entityId}` : `${kind}_${entityTypeId}:${entityId}`;
}
