/** An error in Bitrix24's form: `{error, error_description}` and an HTTP status. */
export class RestError extends Error {
  override readonly name = 'RestError';

  constructor(
    /** Spelled as Bitrix24 spells it: upper case, lower case, a number or empty. */
    readonly code: string,
    readonly description: string,
    readonly status = 400,
  ) {
    super(`${code}: ${description}`);
  }

  get body(): { error: string; error_description: string } {
    return { error: this.code, error_description: this.description };
  }
}

/**
 * Errors of the caller or the portal, with 401 or 403; a method's own errors come with 400 or 403
 * (`_includes/system-errors.md`, error-codes.md). Portals before autumn 2026 sent 503, 403 and 500 for some of them.
 */
export const SYSTEM_ERRORS = {
  server: new RestError('INTERNAL_SERVER_ERROR', 'Internal server error', 500),
  unexpected: new RestError('ERROR_UNEXPECTED_ANSWER', 'Server returned an unexpected response', 500),
  tooMany: new RestError('QUERY_LIMIT_EXCEEDED', 'Too many requests', 503),
  operating: new RestError('OPERATION_TIME_LIMIT', 'Method is blocked due to operation time limit.', 429),
  noAuth: new RestError('NO_AUTH_FOUND', 'Wrong authorization data', 401),
  expired: new RestError('expired_token', 'The access token provided has expired.', 401),
  unknownToken: new RestError('invalid_token', 'Unable to get application by token', 401),
  webhook: new RestError('INVALID_CREDENTIALS', 'Invalid request credentials', 401),
  https: new RestError('INVALID_REQUEST', 'Https required', 401),
  scope: new RestError(
    'insufficient_scope',
    'The request requires higher privileges than provided by the access token',
    401,
  ),
  user: new RestError('user_access_error', 'The user does not have access to the application', 401),
  overload: new RestError('OVERLOAD_LIMIT', 'REST API is blocked due to overload', 401),
  denied: new RestError('ACCESS_DENIED', 'REST is available only on commercial plans', 401),
  deleted: new RestError('PORTAL_DELETED', 'Portal was deleted', 403),
  /** The portal cannot reach the OAuth server. */
  connection: new RestError('CONNECTION_ERROR', 'Error connecting to authorization server', 401),
  /** The token's user is dismissed. */
  dismissed: new RestError('authorization_error', 'Unable to authorize user', 401),
} as const;

export function missingParameter(name: string): RestError {
  return new RestError('100', `Could not find value for parameter {${name}}`);
}

export function missingArgument(name: string): RestError {
  return new RestError('ERROR_ARGUMENT', `Argument '${name}' is null or empty`);
}

export function invalidArgument(description: string): RestError {
  return new RestError('INVALID_ARG_VALUE', description);
}

export function invalidFieldValue(field: string): RestError {
  return new RestError('CRM_FIELD_ERROR_VALUE_NOT_VALID', `Invalid value for field "${field}"`);
}

/** `type` is the type of the value that was given for a field with many values. */
export function notIterable(type: string): RestError {
  return new RestError('100', `Expected iterable value for multiple field, but got ${type} instead`);
}

export function accessDenied(description = 'Access denied'): RestError {
  return new RestError('ACCESS_DENIED', description);
}

/** For a method, or a parameter, that only administrators of the portal may use. */
export function administratorRequired(what: string): RestError {
  return new RestError('ACCESS_DENIED', `Access denied! ${what} requires administrator access rights`, 403);
}

export function unknownSmartProcess(): RestError {
  return new RestError('NOT_FOUND', 'SPA not found');
}

export function missingItem(): RestError {
  return new RestError('NOT_FOUND', 'Item not found');
}

export function unknownMethod(): RestError {
  return new RestError('ERROR_METHOD_NOT_FOUND', 'Method not found!', 404);
}
