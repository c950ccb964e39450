/**
 * `npm run test:compose`: builds the image and runs docker-compose.yml as the README says, under a project name and on
 * ports of its own; removes everything it started. Needs Docker with compose; COMPOSE_FILE adds files as usual.
 */
import { spawnSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from './support/free-port.mjs';

const [port, opsPort, simulatorPort] = [await freePort(), await freePort(), await freePort()];
const env = {
  ...process.env,
  COMPOSE_PROJECT_NAME: `b24-relay-test-${process.pid}`,
  // What a developer keeps in .env for another system is not for this one.
  COMPOSE_DISABLE_ENV_FILE: 'true',
  PORT: String(port),
  OPS_PORT: String(opsPort),
  SIMULATOR_PORT: String(simulatorPort),
};
const portal = `http://127.0.0.1:${simulatorPort}/portals/demo/rest/1/demo`;

try {
  step('up', compose('--profile', 'demo', 'up', '-d', '--build', '--wait', '--wait-timeout', '300'));
  await correctsAName('jOHN', "o'NEIL", 'John', "O'Neil");
  const stats = await json(`http://127.0.0.1:${simulatorPort}/_sim/portals/demo/stats`);
  check('exactly one crm.item.update', stats.calls['crm.item.update'] === 1);
  check('the gateway is live', (await fetch(`http://127.0.0.1:${port}/health/live`)).status === 200);
  check(
    'it has no metrics on its public port',
    (await fetch(`http://127.0.0.1:${port}/metrics`)).status === 404,
  );
  check('it is ready', (await fetch(`http://127.0.0.1:${opsPort}/health/ready`)).status === 200);

  const listed = compose('exec', '-T', 'gateway', 'relay', 'portals', '--json').stdout;
  check('relay lists the demo portal', JSON.parse(listed)[0]?.domain === 'demo.bitrix24.test');

  step(
    'scale',
    compose(
      '--profile',
      'demo',
      'up',
      '-d',
      '--wait',
      '--wait-timeout',
      '120',
      '--scale',
      'name-formatter=3',
    ),
  );
  const replicas = compose('ps', '-q', 'name-formatter').stdout.trim().split('\n');
  check('three name-formatters run', replicas.length === 3);
  await sharesTheWork(3);
  await correctsAName('grace', 'HOPPER', 'Grace', 'Hopper');
} catch (error) {
  console.error(compose('--profile', 'demo', 'logs', '--tail', '30').stdout);
  console.error(`compose: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  step('down', compose('--profile', 'demo', 'down', '-v'));
}

/** @param {string[]} args */
function compose(...args) {
  return spawnSync('docker', ['compose', ...args], {
    env,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    timeout: 600_000,
  });
}

/** @param {string} what @param {{ status: number | null, stderr: string }} result */
function step(what, { status, stderr }) {
  if (status !== 0) throw new Error(`${what} failed:\n${stderr}`);
  console.log(`compose: ${what} ok`);
}

/** @param {string} what @param {boolean} isTrue */
function check(what, isTrue) {
  if (!isTrue) throw new Error(`not so: ${what}`);
  console.log(`compose: ${what}`);
}

/** @param {string} url @param {object} [body] @returns {Promise<any>} */
async function json(url, body) {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(url, body && { method: 'POST', headers, body: JSON.stringify(body) });
  return answer.json();
}

/** Each replica is the active consumer of a part of the 16 shards. @param {number} replicas */
async function sharesTheWork(replicas) {
  const list = ['list_consumers', 'queue_name', 'channel_pid', 'active', '--formatter', 'json'];
  const deadline = Date.now() + 10_000;
  for (;;) {
    const { stdout } = compose('exec', '-T', 'rabbitmq', 'rabbitmqctl', '-q', ...list);
    /** @type {{ queue_name: string, channel_pid: string, active: boolean }[]} */
    const consumers = JSON.parse(stdout);
    const working = consumers.filter(
      ({ queue_name, active }) => active && queue_name.startsWith('b24.name-formatter.'),
    );
    const shares = [...new Set(working.map(({ channel_pid }) => channel_pid))].map((pid) =>
      working.filter(({ channel_pid }) => channel_pid === pid),
    );
    if (shares.length === replicas && working.length === 16) {
      console.log(
        `compose: no replica is idle: ${shares.map((share) => share.length).join('/')} of 16 shards`,
      );
      return;
    }
    if (Date.now() > deadline) throw new Error(`${shares.length} of ${replicas} replicas have work`);
    await pause(200);
  }
}

/** @param {string} name @param {string} lastName @param {string} rightName @param {string} rightLastName */
async function correctsAName(name, lastName, rightName, rightLastName) {
  const { result } = await json(`${portal}/crm.item.add`, { entityTypeId: 3, fields: { name, lastName } });
  const deadline = Date.now() + 10_000;
  for (;;) {
    const { result: found } = await json(`${portal}/crm.item.get`, { entityTypeId: 3, id: result.item.id });
    if (found.item.name === rightName && found.item.lastName === rightLastName) break;
    if (Date.now() > deadline)
      throw new Error(`${name} ${lastName} is still ${found.item.name} ${found.item.lastName}`);
    await pause(100);
  }
  console.log(`compose: ${name} ${lastName} → ${rightName} ${rightLastName}`);
}
