export { consumerVariables, startConsumer } from './consumer.js';
export type { ConsumerEnvironment, ConsumerOptions, RunningConsumer } from './consumer.js';
export { runConsumer } from './run-consumer.js';
