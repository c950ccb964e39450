export type JournalErrorCode = 'JOURNAL_FULL' | 'JOURNAL_UNWRITABLE' | 'JOURNAL_CLOSED';

const SENTENCES: Record<JournalErrorCode, string> = {
  JOURNAL_FULL: 'it holds as much, or as old, as it may',
  JOURNAL_UNWRITABLE: 'the disk takes nothing',
  JOURNAL_CLOSED: 'it is closed',
};

/** The event is not in the journal. */
export class JournalError extends Error {
  override readonly name = 'JournalError';
  constructor(
    readonly code: JournalErrorCode,
    options?: { cause?: unknown },
  ) {
    super(`The journal is not available: ${SENTENCES[code]}`, options);
  }
}
