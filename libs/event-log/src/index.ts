export { EventLogPartitions } from './event-log-partitions.js';
export { EventLogReader } from './event-log-reader.js';
export type { EventLogPosition, LoggedEvent } from './event-log-reader.js';
export { EventLogWriter, logPublished } from './event-log-writer.js';
export type { EventOutcome } from './event-log-writer.js';
