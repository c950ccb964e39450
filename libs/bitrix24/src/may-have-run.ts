import { OAuthError } from './oauth/oauth-server.js';
import { Bitrix24Error } from './rest/errors.js';

/** A server on the way turns the request down: too long, or too many of them. */
const TURNED_DOWN = new Set([413, 414, 429, 431]);

/**
 * Whether a call, or a command of a batch, that failed with this error may have been executed all the same. For a write that
 * must not be done twice, such as `tasks.task.add`: false says that nothing was done, so that it may be sent again. True when
 * in doubt, so also for errors that are not the client's own, such as the reason of an aborted signal.
 *
 * It judges the last request. Earlier ones were not executed either, unless the call was `repeatable`.
 */
export function mayHaveRun(error: unknown): boolean {
  // A token is refreshed before a request, or after the portal has rejected one.
  if (error instanceof OAuthError) return false;
  if (!(error instanceof Bitrix24Error)) return true;
  const { code, delivered, errorClass, httpStatus } = error;
  switch (delivered) {
    case 'no':
      return false;
    case 'unknown':
      return true;
    case 'yes':
      break;
    default:
      return delivered satisfies never;
  }
  // The method may have run before its response was damaged, or replaced by a page.
  if (code === 'BAD_ANSWER') return httpStatus === undefined || !TURNED_DOWN.has(httpStatus);
  // Always a rejection, even if the client has found out that it is not one of the plan, and so `transient`.
  if (code === 'ACCESS_DENIED') return false;
  return errorClass === 'transient';
}
