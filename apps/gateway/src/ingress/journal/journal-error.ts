export type JournalErrorCode = 'JOURNAL_FULL' | 'JOURNAL_UNWRITABLE' | 'JOURNAL_CLOSED';

const REASONS: Record<JournalErrorCode, string> = {
  JOURNAL_FULL: 'it is at its limit of size or age',
  JOURNAL_UNWRITABLE: 'the disk rejects writes',
  JOURNAL_CLOSED: 'it is closed',
};

/** The event is not in the journal. */
export class JournalError extends Error {
  override readonly name = 'JournalError';
  constructor(
    readonly code: JournalErrorCode,
    options?: { cause?: unknown },
  ) {
    super(`The journal is not available: ${REASONS[code]}`, options);
  }
}
