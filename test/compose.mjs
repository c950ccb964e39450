/**
 * `npm run test:compose`: builds the image and runs docker-compose.yml as the README says, under a project name and on
 * ports of its own, with a consumer beside the others that `npm run new:consumer` has just made; removes everything it started. Needs Docker with compose; COMPOSE_FILE adds files as usual.
 */
import { Changes } from './compose/changes.mjs';
import { isAddedInTwoReplicas, isKilled, isMissedWhereItIsForgotten } from './compose/control-plane.mjs';
import { GeneratedConsumer } from './compose/generated-consumer.mjs';
import { runningReplicas, takeOverFromEachOther } from './compose/replicas.mjs';
import { check, compose, gatewayUrl, json, opsUrl, simulatorUrl, step, until } from './compose/stack.mjs';

const demo = ['--profile', 'demo', 'up', '-d', '--wait'];
const portal = `${simulatorUrl}/portals/demo/rest/1/demo`;
const generated = new GeneratedConsumer();
// A consumer is made in a copy of this repository, whose files are the ones that docker compose reads.
process.chdir(generated.folder);

try {
  await generated.make();
  await isMissedWhereItIsForgotten(demo);
  await isAddedInTwoReplicas(demo);
  await correctsAName('jOHN', "o'NEIL", 'John', "O'Neil");
  const stats = await json(`${simulatorUrl}/_sim/portals/demo/stats`);
  check('exactly one crm.item.update', stats.calls['crm.item.update'] === 1);
  await generated.handlesAnEvent(query);
  await showsTheApplication();
  check('the gateway is live', (await fetch(`${gatewayUrl}/health/live`)).status === 200);
  check('it has no metrics on its public port', (await fetch(`${gatewayUrl}/metrics`)).status === 404);
  check('it is ready', (await fetch(`${opsUrl}/health/ready`)).status === 200);

  const { stdout: listed } = await compose('exec', '-T', 'gateway', 'relay', 'portals', '--json');
  check(
    'relay in the gateway finds the control plane',
    JSON.parse(listed)[0]?.domain === 'demo.portal-simulator:8080',
  );

  await isConfined();
  await rejects('an empty password', { POSTGRES_SERVICE_PASSWORD: '' }, 'DATABASE_URL has an empty password');
  await rejects(
    'the published passwords beside a real OAuth server',
    { B24_OAUTH_URL: 'https://oauth.bitrix.info', B24_ALLOW_HOSTS: '' },
    'DATABASE_URL has the published password',
  );

  await isKilled();
  // Each is installed and bound while one control plane is down.
  const changes = await Changes.atPortals(32);
  await step(
    'scale',
    compose(...demo, '--wait-timeout', '120', '--scale', 'name-formatter=3', '--scale', 'control-plane=2'),
  );
  check('three name-formatters run', (await runningReplicas()).length === 3);
  await takeOverFromEachOther(changes);
  await correctsAName('grace', 'HOPPER', 'Grace', 'Hopper');
  await generated.isRetired();
} catch (error) {
  console.error((await compose('--profile', 'demo', 'logs', '--tail', '30')).stdout);
  console.error(`compose: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await step('down', compose('--profile', 'demo', 'down', '-v'));
  await generated.isTakenAway();
}

/** @param {string} name @param {string} lastName @param {string} rightName @param {string} rightLastName */
async function correctsAName(name, lastName, rightName, rightLastName) {
  const { result } = await json(`${portal}/crm.item.add`, { entityTypeId: 3, fields: { name, lastName } });
  await until(10_000, async () => {
    const { result: found } = await json(`${portal}/crm.item.get`, { entityTypeId: 3, id: result.item.id });
    const isRight = found.item.name === rightName && found.item.lastName === rightLastName;
    return isRight ? undefined : `${name} ${lastName} is still ${found.item.name} ${found.item.lastName}`;
  });
  console.log(`compose: ${name} ${lastName} → ${rightName} ${rightLastName}`);
}

/** As a browser on this machine does, which knows no name of a container. */
async function showsTheApplication() {
  const { url, form } = await json(`${simulatorUrl}/_sim/portals/demo/frame`, {});
  check('the application is framed from a published port', new URL(url).port === new URL(gatewayUrl).port);
  const page = await fetch(url, { method: 'POST', body: new URLSearchParams(form) });
  check('its page can be opened there', page.status === 200);
  const { host } = new URL(simulatorUrl);
  const ancestors = /frame-ancestors ([^;]+)/.exec(page.headers.get('content-security-policy') ?? '')?.[1];
  check('and be framed by the portal', ancestors?.split(' ').includes(`http://${host}`) === true);
}

/** @param {string} script */
function gateway(script) {
  return compose('exec', '-T', 'gateway', 'sh', '-c', script);
}

/** @param {string} sql */
function query(sql) {
  return compose('exec', '-T', 'postgres', 'psql', '-U', 'relay', '-d', 'relay', '-Atc', sql);
}

/** What a process that was taken over could reach. */
async function isConfined() {
  check('the image cannot be written', !(await gateway('touch /app/x')).ok);
  check('its journal and /tmp can', (await gateway('touch /data/x /tmp/x && rm /data/x /tmp/x')).ok);
  const { stdout: rights } = await gateway('grep -E "^(CapEff|CapBnd|NoNewPrivs):" /proc/self/status');
  check('it has no capability', /CapBnd:\s*0+\s/.test(rights) && /NoNewPrivs:\s*1/.test(rights));
  const { stdout: roles } = await query(
    "SELECT rolname || ' ' || rolsuper FROM pg_roles WHERE rolname LIKE 'relay\\_%' ORDER BY 1",
  );
  check('no service is a superuser', roles === 'relay_owner false\nrelay_service false\n');
  const { stdout: users } = await query(
    "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name LIKE 'b24-relay %'",
  );
  check('all of them come as relay_service', users === 'relay_service\n');
}

/** @param {string} what @param {Record<string, string>} changes @param {string} reason */
async function rejects(what, changes, reason) {
  const env = Object.entries(changes).flatMap(([name, value]) => ['-e', `${name}=${value}`]);
  const urls =
    changes.POSTGRES_SERVICE_PASSWORD === ''
      ? ['-e', 'DATABASE_URL=postgres://relay_service:@postgres/relay']
      : [];
  const { ok, stderr } = await compose('run', '--rm', '--no-deps', '-T', ...env, ...urls, 'migrate');
  check(`${what} is rejected`, !ok && stderr.includes(reason));
}
