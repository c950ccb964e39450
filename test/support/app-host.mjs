/**
 * Apps as built, several of them in one process: a process of its own for each costs a second of CPU, most of it for
 * loading the same libraries. Each app has its environment, its ports and its shutdown; what they share are the event
 * loop, standard output and the registry of metrics. Started by `AppHost`, which gives orders over IPC.
 */
import 'reflect-metadata';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { register } from 'prom-client';

/** @typedef {{ close(): Promise<void> }} Running */
/** @typedef {{ id: string, what: 'start' | 'stop' | 'park', app: string, env: Record<string, string> }} Order */

/** @param {string} path below dist/ */
const built = (path) => import(join(import.meta.dirname, '../../dist', path));
const { createLogger, formatFatalError, readEnvironment, runMain } = await built(
  'libs/platform/src/index.js',
);

/** What `main.ts` of each app does, without the signals. @type {Record<string, (env: object) => Promise<Running>>} */
const services = {
  gateway: async (env) => {
    const { startGateway } = await built('apps/gateway/src/gateway.js');
    const { GATEWAY_VARIABLES } = await built('apps/gateway/src/gateway.module.js');
    return startGateway(readEnvironment(GATEWAY_VARIABLES, env));
  },
  'control-plane': async (env) => {
    const { startControlPlane } = await built('apps/control-plane/src/control-plane.js');
    const { CONTROL_PLANE_VARIABLES } = await built('apps/control-plane/src/control-plane.module.js');
    return startControlPlane(readEnvironment(CONTROL_PLANE_VARIABLES, env));
  },
  'portal-simulator': async (env) => {
    const { startSimulator } = await built('apps/portal-simulator/src/simulator.js');
    const environment = readEnvironment(
      ['SIMULATOR_PORT', 'B24_CLIENT_ID', 'B24_CLIENT_SECRET', 'LOG_LEVEL'],
      env,
    );
    return startSimulator({
      port: environment.SIMULATOR_PORT,
      log: createLogger('portal-simulator', environment.LOG_LEVEL),
      clientId: environment.B24_CLIENT_ID,
      clientSecret: environment.B24_CLIENT_SECRET,
    });
  },
};

/** @param {string} app @param {object} env @returns {Promise<Running>} */
async function start(app, env) {
  const service = services[app];
  if (service) return service(env);
  const { CONSUMER_VARIABLES, startConsumer } = await built('libs/consumer/src/index.js');
  const { consumer } = await built(`apps/${app}/src/consumer.js`);
  return startConsumer(consumer, readEnvironment(CONSUMER_VARIABLES, env));
}

/** @type {Map<string, Running>} */
const running = new Map();
let starting = 0;

/** @param {string} app @returns {Promise<number>} the exit code of a process that ends so */
async function stop(app) {
  const started = running.get(app);
  running.delete(app);
  try {
    await started?.close();
    return 0;
  } catch (error) {
    process.stderr.write(`while closing: ${formatFatalError(error)}\n`);
    return 1;
  }
}

/** What an app that is stopped may need to let go of all: sockets that the other side closes, or that are kept for a next request. */
const MAX_LOOKS = 40;
const LOOK_EVERY_MS = 50;
/** Far above what a host of all apps has; the next spec file is not to pay for the work of this one. */
const MAX_RSS_BYTES = 400 * 1024 ** 2;

/** What keeps this process alive besides its pipes to the worker process of Jest. */
const heldResources = () => process.getActiveResourcesInfo().filter((name) => name !== 'PipeWrap');

/** @param {string} id */
async function park(id) {
  const codes = await Promise.all([...running.keys()].map(stop));
  if (starting > 0 || codes.some((code) => code !== 0)) throw new Error('an app did not stop in good order');
  // The sockets that others have closed, or that are kept for a next request, are gone a moment later.
  for (let looks = 0; heldResources().length > 0; looks += 1) {
    if (looks === MAX_LOOKS) throw new Error(`the apps have left open: ${heldResources().join(', ')}`);
    await setTimeout(LOOK_EVERY_MS);
  }
  if (process.memoryUsage.rss() > MAX_RSS_BYTES) throw new Error('it holds much memory');
  for (const metric of register.getMetricsAsArray()) {
    // Says which version runs, which no app does again.
    if (metric.name !== 'relay_build_info') register.getSingleMetric(metric.name)?.reset();
  }
  for (const stream of [process.stdout, process.stderr]) stream.write(`parked ${id}\n`);
}

/** @param {Order} order */
async function obey({ id, what, app, env }) {
  try {
    if (what === 'park') await park(id);
    if (what === 'start') {
      if (running.has(app)) throw new Error('it runs already');
      starting += 1;
      running.set(app, await start(app, env).finally(() => (starting -= 1)));
    }
    process.send?.({ id, exitCode: what === 'stop' ? await stop(app) : 0 });
  } catch (error) {
    process.send?.({ id, exitCode: 1, error: formatFatalError(error) });
  }
}

async function end() {
  const codes = await Promise.all([...running.keys()].map(stop));
  // The end of the process could wait for ever for a journal that is just being opened.
  if (starting > 0) process.kill(process.pid, 'SIGKILL');
  process.exit(Math.max(0, ...codes));
}

await runMain('app-host', async () => {
  process.on('message', (/** @type {Order} */ order) => void obey(order));
  for (const event of ['SIGTERM', 'disconnect']) process.on(event, () => void end());
});
