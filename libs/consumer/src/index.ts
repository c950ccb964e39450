export { CONSUMER_LOG, TASK_CONCURRENCY } from './consumer-context.js';
export { CONSUMER_VARIABLES, startConsumer } from './consumer.js';
export type { ConsumerEnvironment, ConsumerOptions, RunningConsumer } from './consumer.js';
export { OnPortalEvents } from './nest/on-portal-events.decorator.js';
export { runConsumer } from './run-consumer.js';
export type { FailedEntry, PortalBatch, PortalEntry } from './scheduler/batch.js';
