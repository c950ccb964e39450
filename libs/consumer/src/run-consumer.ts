import { closeOnSignal, readEnvironment, runMain } from '@relay/platform';
import { consumerVariables, startConsumer, type ConsumerOptions } from './consumer.js';

/** All that a consumer's `main.ts` says: a process of its own, configured by the environment, ended by a signal. */
export async function runConsumer(options: ConsumerOptions): Promise<void> {
  await runMain(options.name, async () => {
    closeOnSignal(await startConsumer(options, readEnvironment(consumerVariables)));
  });
}
