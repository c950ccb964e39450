import { z } from 'zod';
import type { Failure } from '../contract/event-bus.js';

/**
 * Our retry headers beside a message's content; RabbitMQ's `x-death` counts other things. Times are Unix milliseconds.
 */
export interface RetryMetadata {
  attempts: number;
  firstFailedAt: number | undefined;
}

const headers = z.object({
  'b24-attempts': z.int().nonnegative().catch(0),
  'b24-first-failed-at': z.number().nonnegative().optional().catch(undefined),
  /** Set by quorum queues. */
  'x-delivery-count': z.int().nonnegative().catch(0),
});

export function readRetryMetadata(untrusted: unknown): RetryMetadata & { deliveryCount: number } {
  const parsed = headers.parse(untrusted ?? {});
  return {
    attempts: parsed['b24-attempts'],
    firstFailedAt: parsed['b24-first-failed-at'],
    deliveryCount: parsed['x-delivery-count'],
  };
}

/** Headers of a message in a retry tier that was deferred without a failure. @param code why it waits there */
export function deferralHeaders(
  { attempts, firstFailedAt }: RetryMetadata,
  code?: string,
): Record<string, string | number> {
  return {
    ...(firstFailedAt !== undefined && { 'b24-attempts': attempts, 'b24-first-failed-at': firstFailedAt }),
    ...(code !== undefined && { 'b24-code': code }),
  };
}

/** Headers of a failed message in a retry tier and of a dead letter, readable in RabbitMQ's management UI. */
export function failureHeaders(
  consumer: string,
  metadata: RetryMetadata,
  failure: Failure,
  now = Date.now(),
): Record<string, string | number> {
  return {
    'b24-consumer': consumer,
    'b24-attempts': metadata.attempts,
    'b24-first-failed-at': metadata.firstFailedAt ?? now,
    'b24-last-failed-at': now,
    'b24-code': failure.code,
    'b24-message': failure.message,
  };
}
