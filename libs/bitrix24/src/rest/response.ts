import { z } from 'zod';
import { Bitrix24Error, readCode } from './errors.js';
import type { ResponseDefect } from '../http/response-reader.js';

/** The part of `time` that is relevant for limits, in seconds (`api-reference/data-types.md#time`). */
export interface RequestTime {
  start?: number | undefined;
  finish?: number | undefined;
  duration?: number | undefined;
  /** Operating time of the method for this application in the last ten minutes. */
  operating?: number | undefined;
  /** Unix time at which the oldest minute of `operating` expires. */
  operating_reset_at?: number | undefined;
}

/**
 * `total` and `next` are set by list methods with counting
 * (`settings/how-to-call-rest-api/list-methods-pecularities.md`).
 */
export interface RestResponse {
  result: unknown;
  total?: number | undefined;
  next?: number | undefined;
  time?: RequestTime | undefined;
}

/** The request of a response, and the secrets that an error must not contain. */
export interface RequestContext {
  readonly memberId: string;
  readonly method: string;
  readonly secrets: readonly string[];
}

/** Optional fields never invalidate a response with a result: a field that is not as documented is dropped. */
const second = z.number().optional().catch(undefined);
export const wholeNumber = z
  .union([
    z.int(),
    z
      .string()
      .regex(/^\d{1,15}$/)
      .transform(Number),
  ])
  .optional()
  .catch(undefined);
export const requestTime = z
  .object({ start: second, finish: second, duration: second, operating: second, operating_reset_at: second })
  .optional()
  .catch(undefined);

export const errorCode = z.union([z.string(), z.number()]).transform(String);
const failure = z.object({ error: errorCode, time: requestTime });
const success = z.object({
  result: z.unknown().refine((result) => result !== undefined),
  total: wholeNumber,
  next: wholeNumber,
  time: requestTime,
});

/**
 * Parses `{result, total, next, time}` or `{error, error_description}` (`error-codes.md`). The body decides: errors
 * also come with status 200, results never with an error status.
 *
 * @throws Bitrix24Error the portal's code, or `BAD_ANSWER` for HTML, truncated or other bodies
 */
export function parseResponse(httpStatus: number, text: string, asked: RequestContext): RestResponse {
  const body = parseJson(text);
  const answered = success.safeParse(body);
  const failed = failure.safeParse(body);
  if (failed.success && !(failed.data.error === '' && answered.success)) {
    throw errorFrom(failed.data.error, asked, { httpStatus, time: failed.data.time });
  }
  if (answered.success && httpStatus < 300) return answered.data;
  throw invalidResponse(asked, httpStatus, body === undefined ? defectOf(text) : 'wrong-shape');
}

/** The defect of a text that is not JSON. Only its ends are examined: a response can have 64 MB. */
function defectOf(text: string): ResponseDefect {
  const start = text.slice(0, 200).trimStart();
  if (start === '') return text.trim() === '' ? 'empty' : 'not-json';
  if (start.startsWith('<')) return 'html';
  const opened = start.startsWith('{') || start.startsWith('[');
  return opened && !/[}\]]\s*$/.test(text.slice(-200)) ? 'cut' : 'not-json';
}

/** Large responses are read and stored within seconds. */
const NO_ROOM_WAIT_MS = 2_000;

export function invalidResponse(
  { memberId, method }: RequestContext,
  httpStatus?: number,
  detail: ResponseDefect = 'wrong-shape',
): Bitrix24Error {
  return new Bitrix24Error('BAD_ANSWER', {
    memberId,
    method,
    httpStatus,
    detail,
    delivered: 'yes',
    retryAfterMs: detail === 'no-room' ? NO_ROOM_WAIT_MS : undefined,
  });
}

/** The error of a call, or of one command in a batch, which has no HTTP status of its own. */
export function errorFrom(
  sent: string,
  { memberId, method, secrets }: RequestContext,
  { httpStatus, time }: { httpStatus?: number; time?: RequestTime | undefined } = {},
): Bitrix24Error {
  const code = readCode(sent, secrets);
  return new Bitrix24Error(code, {
    memberId,
    method,
    httpStatus,
    retryAfterMs: code === 'OPERATION_TIME_LIMIT' ? untilReset(time) : undefined,
    delivered: 'yes',
  });
}

/** A one-minute bucket of operating time expires ten minutes after its start (`limits.md`): no delay is longer. */
const MAX_RESET_MS = 600_000;

/**
 * Milliseconds until the reset, by the portal's clock if the response contains it, so that clock skew does not matter.
 */
export function untilReset(time: RequestTime | undefined): number | undefined {
  if (time?.operating_reset_at === undefined) return undefined;
  const now = time.finish ?? time.start ?? Date.now() / 1000;
  return Math.min(Math.max(Math.ceil((time.operating_reset_at - now) * 1000), 0), MAX_RESET_MS);
}

/** The value, or undefined for invalid JSON. The syntax error is dropped: its message quotes the text. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
