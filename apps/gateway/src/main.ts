import 'reflect-metadata';
import { readEnvironment, runMain, runUntilSignal, traced } from '@relay/platform';
import { startGateway } from './gateway.js';
import { gatewayVariables } from './gateway.module.js';

await runMain('gateway', async () => {
  await runUntilSignal(async () => {
    const environment = readEnvironment(gatewayVariables);
    return traced('gateway', environment, () => startGateway(environment));
  });
});
