export { journalsResponse, journalStatus } from './journal.js';
export type { JournalStatus, ReportedJournal } from './journal.js';
