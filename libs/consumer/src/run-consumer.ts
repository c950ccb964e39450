import { readEnvironment, runMain, runUntilSignal, traced } from '@relay/platform';
import { CONSUMER_VARIABLES, startConsumer, type ConsumerOptions } from './consumer.js';

/** The whole `main.ts` of a consumer: its own process, configured by the environment, ended by a signal. */
export async function runConsumer(options: ConsumerOptions): Promise<void> {
  await runMain(options.name, async () => {
    await runUntilSignal(async () => {
      const environment = readEnvironment(CONSUMER_VARIABLES);
      return traced(options.name, environment, () => startConsumer(options, environment));
    });
  });
}
