import { z } from 'zod';
import { EVENT_NAME } from './event-name.js';
import { MEMBER_ID, type PortalEvent } from './event.js';
import { emptyTree, type FormTree } from './form-tree.js';

/** Why the content of a message cannot be read. `unknown-version`: by this process; a newer one wrote it, and can. */
export type MessageErrorCode = 'not-json' | 'unknown-version' | 'malformed';

/** Thrown by {@link decodeMessage}. Its message never repeats the content. */
export class MessageError extends Error {
  override readonly name = 'MessageError';

  constructor(
    readonly code: MessageErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** Raised when old readers would misread what new writers write. Old versions stay readable as long as queues may hold them. */
const VERSION = 1;

/** Far above what decodeForm lets through; guards the recursion alone. */
const MAX_DEPTH = 100;

/** As W3C Trace Context writes it; ids of zeros alone are none. */
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
  /** Only a trace is broken by one that cannot be read, and no event is given up for that. */
  traceparent: z.string().regex(TRACEPARENT).optional().catch(undefined),
});

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** JSON in UTF-8 with a version. Writes the fields of a PortalEvent and nothing else that may hang on the object. */
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

/** Whether an error of {@link decodeMessage} says that a newer process can read the message: it must be kept for that. */
export function isOfNewerVersion(error: unknown): boolean {
  return error instanceof MessageError && error.code === 'unknown-version';
}

/** Throws MessageError; never anything else, whatever the bytes. */
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

/** Such as a newer process writes before a rollback: kept for it, while nobody ever reads what has no such version. */
function isNewer(version: unknown): boolean {
  return typeof version === 'number' && Number.isSafeInteger(version) && version > VERSION;
}

function parseJson(content: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(content));
  } catch {
    // The cause is not kept: a SyntaxError quotes the text, which may be a customer's.
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
