export {
  CONSUMER_LOG,
  CONSUMER_VARIABLES,
  DATABASE_URL,
  EVENT_PUBLISHER,
  HASH_KEY,
  runConsumer,
  startConsumer,
  TASK_CONCURRENCY,
} from './consumer.js';
export type { ConsumerOptions, EventPublisher, RunningConsumer } from './consumer.js';
export { OnPortalEvents } from './nest/on-portal-events.decorator.js';
export type { FailedEntry, PortalBatch, PortalEntry, PostponedEntry } from './scheduler/batch.js';
