import { randomUUID } from 'node:crypto';
import { readEntity } from './entity.js';
import { EventError, type EventField } from './event-error.js';
import { parseEventName } from './event-name.js';
import { emptyTree, type FormTree, hostAt, isTree, textAt, treeAt } from './form-tree.js';
import { withoutSecrets } from './redact-event.js';

/** One event of one portal, without secrets. */
export interface PortalEvent {
  /** A UUID generated at receipt: most events have no id of their own. */
  id: string;
  /** Identifies the portal: its only name that never changes. */
  memberId: string;
  /** Base name in upper case, without the suffix of a smart process. */
  name: string;
  /** Type of a smart process item, from the suffix or from ENTITY_TYPE_ID; 0 for other events. */
  entityTypeId: number;
  /**
   * The id of the thing that the event speaks of, as text: it may have sixteen digits, which a number of JavaScript does
   * not hold exactly, or be a code (`CHE`). Null if absent. Where it is depends on the event; see `entity.ts`.
   */
  entityId: string | null;
  /**
   * Equal for all events of one thing, such as ADD, UPDATE and DELETE: `CRMCONTACT:82`, `CRMDYNAMICITEM_147:5`. Null
   * without an id, for a smart process item without its type, and for events that name no thing or are unknown.
   */
  entity: string | null;
  /**
   * The payload as PHP represents it, without secrets. A scalar `data=107` (ONIMCONNECTORLINEDELETE) is `{ value: '107'
   * }`.
   */
  data: FormTree;
  /** Unix time in seconds at which Bitrix24's queue sent it. */
  ts: number;
  /** Unix time in milliseconds at which it was received. */
  receivedAt: number;
  /** Bitrix24's `eventId`, of open-line and connector events only. It is not known to be unique. */
  eventId?: string | undefined;
  /**
   * `offline`: it was read from Bitrix24's offline queue; `reconcile`: the thing has changed in a time whose events were
   * missed; absent: Bitrix24 has posted it.
   */
  source?: 'offline' | 'reconcile' | undefined;
  /** W3C Trace Context (version 00) of our own trace, not the sender's; absent when tracing is off. */
  traceparent?: string | undefined;
}

/**
 * Contents of `auth`. Not authenticated until `applicationToken` has been compared with the portal's own. Tokens are
 * absent when a robot or a workflow caused the change, and for outgoing webhooks.
 */
export interface EventCredentials {
  /** Empty if the event has none (as in the sample of ONAPPPAYMENT): that matches no portal's token. */
  applicationToken: string;
  /** Empty if the event has none. */
  domain: string;
  /**
   * The OAuth server that the tokens name, `host[:port]`: it selects one of the trusted servers and is never called
   * itself.
   */
  oauthHost?: string;
  accessToken?: string;
  refreshToken?: string;
}

/**
 * The fields that are read before an event is authenticated. Nothing else is read by then, because anybody can post a
 * form.
 */
export interface EventEnvelope {
  memberId: string;
  /** See `PortalEvent`. */
  name: string;
  /** The smart process of the name's suffix; 0 without a suffix. */
  suffixTypeId: number;
  /** Unix time in seconds; undefined if the form has none. */
  ts: number | undefined;
  credentials: EventCredentials;
}

/**
 * 32 hexadecimal digits in every sample. It becomes part of keys, so only letters, digits, `_` and `-` are accepted.
 */
export const MEMBER_ID = /^[\w-]{1,64}$/;

/** A number in every sample. */
export const EVENT_ID = /^[!-~]{1,64}$/;

/** 32 hexadecimal digits in every sample. A longer one belongs to no portal, and costs neither a look-up nor a hash. */
const MAX_APPLICATION_TOKEN_LENGTH = 255;

/**
 * Reads the fields that authenticate an event (api-reference/events/index.md); `event` and `auth[member_id]` are
 * required. The cost depends on the length of these fields only. Throws EventError.
 */
export function parseEnvelope(form: FormTree): EventEnvelope {
  const auth = treeAt(form, 'auth') ?? emptyTree();
  const { name, entityTypeId: suffixTypeId } = parseEventName(required(form, 'event', 'event'));
  const credentials = readCredentials(auth);
  return { memberId: readMemberId(auth), name, suffixTypeId, ts: readTs(form), credentials };
}

/**
 * The event of a form whose envelope has been authenticated, without its secrets.
 *
 * @param receivedAt in ms; replaces a missing `ts` (OnAppSettingsInstall has none)
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
    ...readEventId(form),
  };
}

/** An invalid one is read as absent. */
function readEventId(form: FormTree): { eventId?: string } {
  const eventId = textAt(form, 'eventId');
  return eventId !== undefined && EVENT_ID.test(eventId) ? { eventId } : {};
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
    // Lazy: parsing an address takes longer than all other fields together, and few events need it.
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

/** A form cannot represent an empty PHP array, so a missing `data` is an empty one (ONOFFLINEEVENT). */
function readData(form: FormTree): FormTree {
  const { data } = form;
  if (isTree(data)) return data;
  const tree = emptyTree();
  if (data !== undefined && data !== '') tree.value = data;
  return tree;
}
