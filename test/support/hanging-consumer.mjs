/** A consumer, as built, whose handler never comes back. Says `in hand` when it has an event. */
import 'reflect-metadata';
import { join } from 'node:path';
import { Controller } from '@nestjs/common';

/** @param {string} path below dist/ */
const built = (path) => import(join(import.meta.dirname, '../../dist', path));
const { CONSUMER_VARIABLES, OnPortalEvents, startConsumer } = await built('libs/consumer/src/index.js');
const { readEnvironment, runMain, runUntilSignal } = await built('libs/platform/src/index.js');

class HangingController {
  hang() {
    process.stdout.write('in hand\n');
    return new Promise(() => undefined);
  }
}
const descriptor = Object.getOwnPropertyDescriptor(HangingController.prototype, 'hang');
OnPortalEvents(['ONCRMCONTACTADD'])(HangingController.prototype, 'hang', descriptor);
Controller()(HangingController);

const module = { module: HangingController, controllers: [HangingController] };
const drainWithinMs = Number(process.env['DRAIN_WITHIN_MS']);
await runMain('hanging', () =>
  runUntilSignal(() =>
    startConsumer({ name: 'hanging', module, drainWithinMs }, readEnvironment(CONSUMER_VARIABLES)),
  ),
);
