type EventErrorCode = 'missing-field' | 'malformed-field' | 'not-an-install';

/** Required fields of an event, an install or a page. */
export type EventField =
  | 'event'
  | 'data'
  | 'ts'
  | 'auth[member_id]'
  | 'auth[domain]'
  | 'auth[application_token]'
  | 'auth[access_token]'
  | 'auth[refresh_token]'
  | 'member_id'
  | 'DOMAIN'
  | 'AUTH_ID'
  | 'REFRESH_ID'
  | 'APPLICATION_TOKEN';

/** The form is not an event, an install or a page. The message names the field and never contains a value. */
export class EventError extends Error {
  override readonly name = 'EventError';

  constructor(
    readonly code: EventErrorCode,
    readonly field: EventField,
  ) {
    super(`${field} ${REASONS[code]}`);
  }
}

const REASONS: Record<EventErrorCode, string> = {
  'missing-field': 'is missing',
  'malformed-field': 'is not in the form that Bitrix24 gives it',
  'not-an-install': 'is another event than ONAPPINSTALL',
};
