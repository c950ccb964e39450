import 'reflect-metadata';
import { readEnvironment, runMain, runUntilSignal, traced } from '@relay/platform';
import { startGateway } from './gateway.js';
import { GATEWAY_VARIABLES } from './gateway.module.js';

await runMain('gateway', async () => {
  await runUntilSignal(async () => {
    const environment = readEnvironment(GATEWAY_VARIABLES);
    return traced('gateway', environment, () => startGateway(environment));
  });
});
