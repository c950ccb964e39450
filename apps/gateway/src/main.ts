import 'reflect-metadata';
import { closeOnSignal, readEnvironment, runMain } from '@relay/platform';
import { startGateway } from './gateway.js';
import { gatewayVariables } from './gateway.module.js';

await runMain('gateway', async () => {
  closeOnSignal(await startGateway(readEnvironment(gatewayVariables)));
});
