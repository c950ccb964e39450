import { z } from 'zod';
import { EVENT_NAME } from './event-name.js';
import { MEMBER_ID, type PortalEvent } from './event.js';
import { emptyTree, type FormTree } from './form-tree.js';

/** Why a message cannot be decoded. `unknown-version`: a newer process wrote it and can read it, this one cannot. */
export type MessageErrorCode = 'not-json' | 'unknown-version' | 'malformed';

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

const versionSchema = z.object({ v: z.unknown() });

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

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Encodes as JSON in UTF-8 with a version. Writes the fields of a PortalEvent only, no other properties of the object.
 */
export function encodeMessage(event: PortalEvent): Buffer {
  const { id, memberId, name, entityTypeId, entityId, entity, data, ts, receivedAt, traceparent } = event;
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
  const version = versionSchema.safeParse(json);
  if (!version.success) throw new MessageError('malformed', 'The message has no version');
  if (isNewer(version.data.v))
    throw new MessageError('unknown-version', 'The message is of a newer version than this process');
  if (version.data.v !== VERSION)
    throw new MessageError('malformed', 'The message is of no version there is');
  const message = messageSchema.safeParse(json);
  if (!message.success) {
    const fields = message.error.issues.map((issue) => issue.path.join('.'));
    throw new MessageError('malformed', `The message has wrong fields: ${fields.join(', ')}`);
  }
  return { ...message.data, data: toTree(message.data.data, 0) };
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
  if (typeof value !== 'object' || value === null || Array.isArray(value) || depth > MAX_DEPTH) {
    throw new MessageError('malformed', 'The data of the message is not a tree of texts');
  }
  const tree = emptyTree();
  for (const [key, child] of Object.entries(value)) {
    tree[key] = typeof child === 'string' ? child : toTree(child, depth + 1);
  }
  return tree;
}
