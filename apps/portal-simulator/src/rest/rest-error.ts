/** An error as Bitrix24 answers it: `{error, error_description}` and an HTTP status. */
export class RestError extends Error {
  override readonly name = 'RestError';

  constructor(
    /** Spelled as Bitrix24 spells it: some are upper case, some lower, some numbers, some empty. */
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

/** `type`: of what came for a field that takes many values. */
export function notIterable(type: string): RestError {
  return new RestError('100', `Expected iterable value for multiple field, but got ${type} instead`);
}

export function accessDenied(description = 'Access denied'): RestError {
  return new RestError('ACCESS_DENIED', description);
}

/** `of`: what calls, `webhook` or `access`. */
export function insufficientScope(of: string): RestError {
  const description = `The request requires higher privileges than provided by the ${of} token`;
  return new RestError('insufficient_scope', description, 403);
}

/** Of a method that is for administrators of the portal, or of what only they may ask it for. */
export function administratorWanted(what: string): RestError {
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
