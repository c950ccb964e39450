export { EventLogPartitions } from './event-log-partitions.js';
export { EventLogReader } from './event-log-reader.js';
export type { EventLogFilter, EventLogPosition, LoggedEvent, OutcomeFilter } from './event-log-reader.js';
export { EventLogWriter, logPublished } from './event-log-writer.js';
export type { EventOutcome, EventSource, OutcomeKind } from './event-log-writer.js';
