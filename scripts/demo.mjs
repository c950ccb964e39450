/**
 * `npm run demo`: plays the tutorial on the system that runs at SIMULATOR_PORT, or on one that it starts and ends itself,
 * and shows what it cost the portal. `npm run demo -- 5000` updates as many contacts at once.
 */
import { join } from 'node:path';
import { measured, showCosts } from './demo/cost.mjs';
import { mirrorDeliveries } from './demo/deliveries.mjs';
import { DemoFailure, Stopped, SystemGone, TimeIsUp } from './demo/failure.mjs';
import { updateMany } from './demo/mass-update.mjs';
import { duration, Screen } from './demo/screen.mjs';
import { Simulator } from './demo/simulator.mjs';
import { endedByItself, OwnSystem, prepare, waitUntilInstalled, waitUntilUp } from './demo/system.mjs';
import { addTenContacts, showTenContacts } from './demo/ten-contacts.mjs';

process.chdir(join(import.meta.dirname, '..'));

const defaultCount = 2000;
const maxCount = 10_000;
/** With what it takes to end the system, three minutes. Installing packages at the first start is not counted. */
const timeLimitMs = 150_000;
const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

const ending = new AbortController();
const screen = new Screen();
/** @type {OwnSystem | undefined} */
let ownSystem;

for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => ending.abort(new Stopped(signal)));
}
// The reader of the output, such as `head`, has ended.
process.stdout.on('error', () => ending.abort(new Stopped('SIGHUP')));

try {
  const count = countIn(process.argv.slice(2));
  const simulator = new Simulator(`http://localhost:${portIn(process.env)}`, ending.signal);
  await findSystem(simulator);
  await play(simulator, count);
} catch (error) {
  if (error instanceof SystemGone) await ownSystem?.ending();
  process.exitCode = explain(ending.signal.aborted ? ending.signal.reason : error);
} finally {
  await ownSystem?.stop();
  process.exit();
}

/** @param {Simulator} simulator */
async function findSystem(simulator) {
  if (await simulator.look()) {
    startClock();
    screen.line(`The system that runs at ${simulator.url} is used.`);
  } else {
    if (process.env['B24_CLIENT_ID']) {
      throw new DemoFailure(
        'B24_CLIENT_ID is set, which is for a real Bitrix24: the demo plays in the simulated one only, so unset it.',
      );
    }
    screen.line(`Nothing runs at ${simulator.url}: starting it, as npm start does …`);
    await prepare(ending.signal);
    startClock();
    const startMs = performance.now();
    ownSystem = new OwnSystem();
    await waitUntilUp(simulator, ownSystem);
    screen.line(`Started in ${duration(performance.now() - startMs)}.`);
  }
  await waitUntilInstalled(simulator);
}

/** @param {Simulator} simulator @param {number} count */
async function play(simulator, count) {
  const { member_id: memberId, settings } = await simulator.portal();
  const costs = [
    await measured(simulator, () => addTenContacts(simulator, screen)),
    await measured(simulator, () => mirrorDeliveries(simulator, screen, memberId)),
    // Last, for it takes all that the portal gives.
    await measured(simulator, () => updateMany(simulator, screen, count)),
  ];
  showTenContacts(screen);
  showCosts(screen, costs, settings);
  screen.line();
  screen.line(
    ownSystem
      ? 'What was started ends now. `npm start` keeps it running, with the portal as a page to try more.'
      : `The portal as a page, to try more: ${simulator.url}`,
  );
}

function startClock() {
  setTimeout(() => ending.abort(new TimeIsUp()), timeLimitMs).unref();
}

/** @param {unknown} error @returns {number} the exit code */
function explain(error) {
  screen.closeBar();
  if (error instanceof Stopped) return exitCodes[error.signal];
  const lastOutput = ownSystem?.lastOutput;
  if (lastOutput !== undefined) console.error(`demo: ${endedByItself(lastOutput).message}`);
  else if (error instanceof DemoFailure) console.error(`demo: ${error.message}`);
  else if (error instanceof TimeIsUp)
    console.error(`demo: Not done after ${duration(timeLimitMs)}, so it ends.`);
  else console.error('demo:', error);
  return 1;
}

/** @param {string[]} given @returns {number} */
function countIn(given) {
  if (given.length === 0) return defaultCount;
  const count = Number(given[0]);
  if (given.length === 1 && Number.isInteger(count) && count > 0 && count <= maxCount) return count;
  throw new DemoFailure(`The only argument is how many contacts are updated at once, from 1 to ${maxCount}.`);
}

/** @param {NodeJS.ProcessEnv} env @returns {number} */
function portIn(env) {
  const port = Number(env['SIMULATOR_PORT'] || 8080);
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port;
  throw new DemoFailure('SIMULATOR_PORT must be a port, a number from 1 to 65535.');
}
