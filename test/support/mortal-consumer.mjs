/**
 * A consumer as built, in a process of its own, that is killed by one contact, and says of every other that it was
 * handled: a line of JSON for each batch.
 */
import { join } from 'node:path';

/** @param {string} path below dist/ */
const built = (path) => import(join(import.meta.dirname, '../../dist', path));
await import('reflect-metadata');
const { Controller, Module } = await import('@nestjs/common');
const { OnPortalEvents, runConsumer } = await built('libs/consumer/src/index.js');

const { memberId: killedAt, entityId: killedBy } = JSON.parse(process.env['MORTAL_CONSUMER'] ?? '{}');

class ContactsController {
  /** @param {{ memberId: string, entries: { entityId: string }[] }} batch */
  async handle({ memberId, entries }) {
    const ids = entries.map(({ entityId }) => entityId);
    if (memberId === killedAt && ids.includes(killedBy)) process.kill(process.pid, 'SIGKILL');
    process.stdout.write(`${JSON.stringify({ handled: memberId, ids })}\n`);
  }
}
const handle = Object.getOwnPropertyDescriptor(ContactsController.prototype, 'handle');
if (handle) OnPortalEvents(['ONCRMCONTACTUPDATE'])(ContactsController.prototype, 'handle', handle);
Controller()(ContactsController);

function MortalModule() {}
Module({ controllers: [ContactsController] })(MortalModule);

await runConsumer({ name: 'mortal', module: MortalModule });
