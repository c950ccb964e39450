export { CONSUMER_LOG, TASK_CONCURRENCY } from './consumer-context.js';
export { consumerVariables, startConsumer } from './consumer.js';
export type { ConsumerEnvironment, ConsumerOptions, RunningConsumer } from './consumer.js';
export { runConsumer } from './run-consumer.js';
