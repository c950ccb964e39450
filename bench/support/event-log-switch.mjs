/**
 * Loaded into an app by a benchmark (`--import`): SIGUSR2 turns the event log of the process off, and on again. So both are measured in one
 * process, with the same code compiled, the same connections and the same memory. What stays while it is off is one call of an
 * empty function for each event.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const built = (/** @type {string} */ file) =>
  import(pathToFileURL(join(import.meta.dirname, '../../dist/libs', file)).href);
/** @type {typeof import('../../libs/event-log/src/event-log-writer.js')} */
const { EventLogWriter } = await built('event-log/src/event-log-writer.js');
/** @type {typeof import('../../libs/consumer/src/scheduler/settler.js')} */
const { Settler } = await built('consumer/src/scheduler/settler.js');

let isOn = true;
process.on('SIGUSR2', () => {
  isOn = !isOn;
});

/**
 * The method does nothing while the log is off. @template {object} Owner @template {keyof Owner} Name
 * @param {Owner} owner @param {Name} name
 */
function guard(owner, name) {
  const method = owner[name];
  if (typeof method !== 'function') throw new Error(`there is no ${String(name)} any more`);
  Object.defineProperty(owner, name, {
    value(/** @type {unknown[]} */ ...args) {
      if (isOn) Reflect.apply(method, this, args);
    },
  });
}

guard(EventLogWriter.prototype, 'received');
guard(EventLogWriter.prototype, 'settled');
// For the log alone, receipts are remembered with the ids of their events.
guard(Settler.prototype, 'note');
