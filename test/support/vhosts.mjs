/** Virtual hosts by the dozen: each `rabbitmqctl` starts an Erlang machine, which takes half a second of CPU. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { sharedNames, TEST_RUN } from './test-run.mjs';

const run = promisify(execFile);
/** Made, or dropped, at once. */
const count = 8;

/** `npm test` sets AMQP_URL to the broker it chose; a single spec started by hand uses the local one. */
export const brokerUrl = process.env['AMQP_URL'] ?? 'amqp://guest:guest@127.0.0.1:5672';
export const brokerUser = decodeURIComponent(new URL(brokerUrl).username) || 'guest';

/**
 * RELAY_TEST_RABBITMQCTL is how `npm test` reaches the broker it chose: a JSON array of command and arguments.
 * @param {string[]} args
 */
export async function rabbitmqctl(...args) {
  const chosen = JSON.parse(process.env['RELAY_TEST_RABBITMQCTL'] ?? '["rabbitmqctl"]');
  const [command = '', ...first] = Array.isArray(chosen) ? chosen.map(String) : [];
  await run(command, [...first, '-q', ...args]);
}

/** @returns {Promise<string>} an empty virtual host that nobody else has, in which the user of AMQP_URL may do all */
export async function takeVhost() {
  const [ready] = sharedNames('vhosts').take(1);
  if (ready !== undefined) return ready;
  const names = Array.from(
    { length: count },
    () => `relay_test_${TEST_RUN}_${randomBytes(4).toString('hex')}`,
  );
  const made = await addVhosts(names);
  for (const name of made.slice(1)) sharedNames('vhosts').add(name);
  return made[0] ?? '';
}

/** @param {string} name */
export async function dropVhost(name) {
  const dropped = sharedNames('dropped-vhosts');
  dropped.add(name);
  if (dropped.list().length >= count) await deleteVhosts(dropped.take(count));
}

/** What is left at the end of a run, unused or not yet deleted. */
export async function dropLeftVhosts() {
  await deleteVhosts([
    ...sharedNames('vhosts').take(Infinity),
    ...sharedNames('dropped-vhosts').take(Infinity),
  ]);
}

/** @param {string[]} names @returns {Promise<string[]>} those that were made */
async function addVhosts(names) {
  const all = '<<".*">>';
  const add = `ok = rabbit_vhost:add(V, <<"tests">>)`;
  const permit = `ok = rabbit_auth_backend_internal:set_permissions(<<"${brokerUser}">>, V, ${all}, ${all}, ${all}, <<"tests">>)`;
  try {
    if (!/^[\w.-]+$/.test(brokerUser)) throw new Error('its name would have to be quoted');
    await rabbitmqctl('eval', `[begin ${add}, ${permit} end || V <- ${erlangList(names)}].`);
    return names;
  } catch {
    // Another version of RabbitMQ may name its functions otherwise.
    const [first = ''] = names;
    await rabbitmqctl('add_vhost', first);
    await rabbitmqctl('set_permissions', '-p', first, brokerUser, '.*', '.*', '.*');
    return [first];
  }
}

/** @param {string[]} names */
async function deleteVhosts(names) {
  if (names.length === 0) return;
  try {
    await rabbitmqctl('eval', `[rabbit_vhost:delete(V, <<"tests">>) || V <- ${erlangList(names)}].`);
  } catch {
    for (const name of names) await rabbitmqctl('delete_vhost', name).catch(() => undefined);
  }
}

/** @param {string[]} names */
function erlangList(names) {
  return `[${names.map((name) => `<<"${name}">>`).join(', ')}]`;
}
