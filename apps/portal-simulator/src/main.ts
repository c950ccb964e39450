import { createLogger, readEnvironment, runMain, runUntilSignal } from '@relay/platform';
import { unusedIds } from './demo.js';
import { startSimulator } from './simulator.js';

await runMain('portal-simulator', async () => {
  const environment = readEnvironment([
    'SIMULATOR_PORT',
    'SIMULATOR_HOST',
    'SIMULATOR_INSTALL_URL',
    'SIMULATOR_GATEWAY_URL',
    'B24_CLIENT_ID',
    'B24_CLIENT_SECRET',
    'LOG_LEVEL',
  ]);
  await runUntilSignal(() =>
    startSimulator({
      port: environment.SIMULATOR_PORT,
      host: environment.SIMULATOR_HOST,
      log: createLogger('portal-simulator', environment.LOG_LEVEL),
      clientId: environment.B24_CLIENT_ID,
      clientSecret: environment.B24_CLIENT_SECRET,
      demoIdsAfter: unusedIds(),
      installDemoAt: environment.SIMULATOR_INSTALL_URL,
      gatewayInBrowser: environment.SIMULATOR_GATEWAY_URL,
    }),
  );
});
