export { CONSUMER_LOG } from './consumer-log.js';
export { consumerVariables, startConsumer } from './consumer.js';
export type { ConsumerEnvironment, ConsumerOptions, RunningConsumer } from './consumer.js';
export { runConsumer } from './run-consumer.js';
