/** Begins a line of standard output that is for people, and not of the log. */
export const BATCH_MARK = '\u0001';
