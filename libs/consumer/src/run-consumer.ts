import { readEnvironment, runMain, runUntilSignal, traced } from '@relay/platform';
import { CONSUMER_VARIABLES, startConsumer, type ConsumerOptions } from './consumer.js';

/** All that a consumer's `main.ts` says: a process of its own, configured by the environment, ended by a signal. */
export async function runConsumer(options: ConsumerOptions): Promise<void> {
  await runMain(options.name, async () => {
    await runUntilSignal(async () => {
      const environment = readEnvironment(CONSUMER_VARIABLES);
      return traced(options.name, environment, () => startConsumer(options, environment));
    });
  });
}
