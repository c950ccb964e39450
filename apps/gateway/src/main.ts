import 'reflect-metadata';
import { readEnvironment, runMain, runUntilSignal } from '@relay/platform';
import { startGateway } from './gateway.js';
import { gatewayVariables } from './gateway.module.js';

await runMain('gateway', async () => {
  await runUntilSignal(() => startGateway(readEnvironment(gatewayVariables)));
});
