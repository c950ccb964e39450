import { z } from 'zod';
import type { Failure } from '../contract/event-bus.js';

/**
 * Our retry headers beside a message's content; RabbitMQ's `x-death` counts other things. Times are Unix milliseconds.
 */
export interface RetryMetadata {
  attempts: number;
  firstFailedAt: number | undefined;
}

/** Absent from nearly every message: without the default zod makes, and catches, an error for each. */
const occurrences = z.int().nonnegative().default(0).catch(0);

const headers = z.object({
  'b24-attempts': occurrences,
  'b24-first-failed-at': z.number().nonnegative().optional().catch(undefined),
  /** Set by quorum queues. */
  'x-delivery-count': occurrences,
});

export function readRetryMetadata(untrusted: unknown): RetryMetadata & { deliveryCount: number } {
  const parsed = headers.parse(untrusted ?? {});
  return {
    attempts: parsed['b24-attempts'],
    firstFailedAt: parsed['b24-first-failed-at'],
    deliveryCount: parsed['x-delivery-count'],
  };
}

const count = z.int().nonnegative();

/** What {@link failureHeaders} writes; `docs/asyncapi.yaml` has it. */
export const FAILURE_HEADERS = z
  .object({
    'b24-consumer': z.string().describe('The consumer that failed.'),
    'b24-attempts': count.describe('Failed attempts so far.'),
    'b24-first-failed-at': count.describe('Unix time in ms of the first failure.'),
    'b24-last-failed-at': count.describe('Unix time in ms of the last failure.'),
    'b24-code': z.string().describe('Why: what operators find a dead letter by, such as ACCESS_DENIED.'),
    'b24-message': z.string().describe('The error, without secrets, up to 500 characters.'),
  })
  .describe('Headers of a dead letter.');

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
): z.output<typeof FAILURE_HEADERS> {
  return {
    'b24-consumer': consumer,
    'b24-attempts': metadata.attempts,
    'b24-first-failed-at': metadata.firstFailedAt ?? now,
    'b24-last-failed-at': now,
    'b24-code': failure.code,
    'b24-message': failure.message,
  };
}
