import { z } from 'zod';
import { EVENT_NAME } from './event-name.js';
import { EVENT_ID, MEMBER_ID, type PortalEvent } from './event.js';
import { emptyTree, type FormTree } from './form-tree.js';

/** Why a message cannot be decoded. `unknown-version`: a newer process wrote it and can read it, this one cannot. */
type MessageErrorCode = 'not-json' | 'unknown-version' | 'malformed';

/** Thrown by {@link decodeMessage}. Its text never contains the content. */
export class MessageError extends Error {
  override readonly name = 'MessageError';

  constructor(
    readonly code: MessageErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/**
 * Increased when old readers would misread a new message. Old versions stay readable as long as queues may hold them.
 */
const VERSION = 1;

/** Far above the limit of decodeForm; it only bounds the recursion. */
const MAX_DEPTH = 100;

/** W3C Trace Context; ids of only zeros are invalid. */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

const messageSchema = z.object({
  id: z.uuid(),
  memberId: z.string().regex(MEMBER_ID),
  name: z.string().regex(EVENT_NAME),
  entityTypeId: z.int().nonnegative(),
  entityId: z.string().nullable(),
  entity: z.string().nullable(),
  data: z.unknown(),
  ts: z.int().nonnegative(),
  receivedAt: z.int().nonnegative(),
  /** An invalid one is dropped: it breaks a trace only, and the event must not be lost. */
  traceparent: z.string().regex(TRACEPARENT).optional().catch(undefined),
});

/** The part of {@link MESSAGE_FORMAT} that refers to itself. */
export const FORM_TREE: z.ZodType<FormTree> = z.lazy(() =>
  z.record(z.string(), z.union([z.string(), FORM_TREE])),
);

/**
 * All of a message, for its documentation (`docs/asyncapi.yaml`). {@link decodeMessage} reads the same with fewer
 * checks, since it reads every message.
 */
export const MESSAGE_FORMAT = z
  .object({
    v: z.literal(VERSION).describe('Version of this format. Leave a message with a higher one in its queue.'),
    ...messageSchema.shape,
    id: messageSchema.shape.id.describe('Made at receipt. A repeated delivery has the same id.'),
    memberId: messageSchema.shape.memberId.describe('The portal. It never changes; its domain may.'),
    name: messageSchema.shape.name.describe('Name of the event in upper case, without the suffix of a type.'),
    entityTypeId: messageSchema.shape.entityTypeId.describe('Type of a smart process item; 0 of others.'),
    entityId: messageSchema.shape.entityId.describe('Id of the thing, as text: it may have 16 digits.'),
    entity: messageSchema.shape.entity.describe(
      'Equal for all events of one thing, such as CRMDEAL:82. Null if it names none.',
    ),
    data: FORM_TREE.describe(
      'What Bitrix24 sent, without secrets. Every scalar is text, every list an object.',
    ),
    ts: messageSchema.shape.ts.describe("When Bitrix24's queue sent it, Unix time in seconds."),
    receivedAt: messageSchema.shape.receivedAt.describe('When the gateway received it, Unix time in ms.'),
    eventId: z.string().regex(EVENT_ID).optional().describe("Bitrix24's own, of open lines and connectors."),
    source: z
      .enum(['offline', 'reconcile'])
      .optional()
      .describe(
        "offline: read from Bitrix24's offline queue; reconcile: the thing changed in a time whose events were missed; absent: Bitrix24 posted it.",
      ),
    traceparent: messageSchema.shape.traceparent.describe('W3C Trace Context.'),
  })
  .describe('An event of a portal.');

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Encodes as JSON in UTF-8 with a version. Writes the fields of a PortalEvent only, no other properties of the object.
 */
export function encodeMessage(event: PortalEvent): Buffer {
  const { id, memberId, name, entityTypeId, entityId, entity, data, ts, receivedAt } = event;
  const { eventId, source, traceparent } = event;
  return Buffer.from(
    JSON.stringify({
      v: VERSION,
      id,
      memberId,
      name,
      entityTypeId,
      entityId,
      entity,
      data,
      ts,
      receivedAt,
      eventId,
      source,
      traceparent,
    }),
  );
}

/** Whether a newer process can read the message that {@link decodeMessage} rejected: then the message must be kept. */
export function isOfNewerVersion(error: unknown): boolean {
  return error instanceof MessageError && error.code === 'unknown-version';
}

/** Throws MessageError and nothing else, for any bytes. */
export function decodeMessage(content: Uint8Array): PortalEvent {
  const json = parseJson(content);
  if (!isJsonObject(json)) throw new MessageError('malformed', 'The message is no object');
  if (isNewer(json['v']))
    throw new MessageError('unknown-version', 'The message is of a newer version than this process');
  if (json['v'] !== VERSION) throw new MessageError('malformed', 'The message is of no version there is');
  const message = messageSchema.safeParse(json);
  if (!message.success) {
    const fields = message.error.issues.map((issue) => issue.path.join('.'));
    throw new MessageError('malformed', `The message has wrong fields: ${fields.join(', ')}`);
  }
  const event: PortalEvent = { ...message.data, data: toTree(message.data.data, 0) };
  // Few messages have one, and those of older gateways never do: every other is read without the cost of a check.
  const { eventId, source } = json;
  if (source === 'offline' || source === 'reconcile') event.source = source;
  if (typeof eventId === 'string' && EVENT_ID.test(eventId)) event.eventId = eventId;
  return event;
}

/**
 * A version that a newer process wrote, for example before a rollback. A message without a valid version is never
 * readable.
 */
function isNewer(version: unknown): boolean {
  return typeof version === 'number' && Number.isSafeInteger(version) && version > VERSION;
}

function parseJson(content: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(content));
  } catch {
    // Without the cause: a SyntaxError quotes the text, which may be customer data.
    throw new MessageError('not-json', 'The message is not JSON in UTF-8');
  }
}

function toTree(value: unknown, depth: number): FormTree {
  if (!isJsonObject(value) || depth > MAX_DEPTH) {
    throw new MessageError('malformed', 'The data of the message is not a tree of texts');
  }
  const tree = emptyTree();
  // Not Object.entries: its arrays cost more than the copy.
  for (const key in value) {
    const child = value[key];
    tree[key] = typeof child === 'string' ? child : toTree(child, depth + 1);
  }
  return tree;
}

/** For values of JSON.parse: their properties are their own, `__proto__` too. */
function isJsonObject(value: unknown): value is { [key: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
