import { createHash } from 'node:crypto';
import type { ConsumeMessage } from 'amqplib';
import { z } from 'zod';
import type { DeadLetterRecord } from '../../admin/dead-letter.js';

/**
 * As `failureHeaders` writes them. Anybody may have put a message into the queue: unreadable headers count as absent.
 */
const headers = z.object({
  'b24-code': z.string().catch('UNKNOWN'),
  'b24-message': z.string().catch(''),
  'b24-attempts': z.int().nonnegative().catch(0),
  'b24-first-failed-at': z.number().nonnegative().optional().catch(undefined),
  'b24-last-failed-at': z.number().nonnegative().optional().catch(undefined),
});
const messageIdOf = z.string().catch('');

export function readLetter(
  consumer: string,
  { properties, content }: Pick<ConsumeMessage, 'properties' | 'content'>,
): DeadLetterRecord {
  const read = headers.parse(properties.headers ?? {});
  const lastFailedAt = read['b24-last-failed-at'];
  return {
    id: idOf(messageIdOf.parse(properties.messageId), lastFailedAt, content),
    consumer,
    code: read['b24-code'],
    message: read['b24-message'],
    attempts: read['b24-attempts'],
    firstFailedAt: read['b24-first-failed-at'],
    lastFailedAt,
    content,
  };
}

/**
 * Derived from fields that a dead letter keeps for good, so that old ones have an id too; an event that dies twice has
 * two.
 */
function idOf(messageId: string, lastFailedAt: number | undefined, content: Buffer): string {
  return createHash('sha256')
    .update(`${messageId}/${lastFailedAt ?? ''}/`)
    .update(content)
    .digest('hex')
    .slice(0, 16);
}
