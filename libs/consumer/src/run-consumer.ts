import { readEnvironment, runMain, runUntilSignal } from '@relay/platform';
import { consumerVariables, startConsumer, type ConsumerOptions } from './consumer.js';

/** All that a consumer's `main.ts` says: a process of its own, configured by the environment, ended by a signal. */
export async function runConsumer(options: ConsumerOptions): Promise<void> {
  await runMain(options.name, async () => {
    await runUntilSignal(() => startConsumer(options, readEnvironment(consumerVariables)));
  });
}
