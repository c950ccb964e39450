import 'reflect-metadata';
import { readEnvironment, runMain, runUntilSignal, traced } from '@relay/platform';
import { startControlPlane } from './control-plane.js';
import { CONTROL_PLANE_VARIABLES } from './control-plane.module.js';

await runMain('control-plane', async () => {
  await runUntilSignal(async () => {
    const environment = readEnvironment(CONTROL_PLANE_VARIABLES);
    return traced('control-plane', environment, () => startControlPlane(environment));
  });
});
