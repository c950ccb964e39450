import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

export { freePort } from './free-port.mjs';
export { canStartBroker, privateBroker } from './private-broker.mjs';
export type { PrivateBroker } from './private-broker.mjs';

const run = promisify(execFile);

/** `npm test` sets AMQP_URL to the broker it chose; a single spec started by hand uses the local one. */
const brokerUrl = process.env['AMQP_URL'] ?? 'amqp://guest:guest@127.0.0.1:5672';

/** False only where no broker could be had; the run then says `RabbitMQ: NOT TESTED` on its last line. */
export const hasBroker = process.env['RELAY_TEST_BROKER'] !== 'none';

export interface TestVhost {
  url: string;
  name: string;
  drop(): Promise<void>;
}

/**
 * A virtual host of this spec alone on the shared broker. The name holds our process id, so that `npm test` can
 * drop what a killed run left.
 */
export async function freshVhost(): Promise<TestVhost> {
  const name = `relay_test_${process.pid}_${randomBytes(4).toString('hex')}`;
  const url = new URL(brokerUrl);
  const user = decodeURIComponent(url.username) || 'guest';
  await rabbitmqctl('add_vhost', name);
  await rabbitmqctl('set_permissions', '-p', name, user, '.*', '.*', '.*');
  url.pathname = `/${name}`;
  return { url: url.href, name, drop: () => rabbitmqctl('delete_vhost', name) };
}

export interface TestUser {
  /** The address of the virtual host with this user and the password that is right at first. */
  url: string;
  password: string;
  /** Regular expressions of names, as `rabbitmqctl set_permissions` takes them. */
  may(permissions: { configure: string; write: string; read: string }): Promise<void>;
  changePassword(password: string): Promise<void>;
  drop(): Promise<void>;
}

/** A user of the broker who may do nothing yet. */
export async function freshUser(vhost: TestVhost): Promise<TestUser> {
  const name = `${vhost.name}_user`;
  const password = randomBytes(12).toString('hex');
  await rabbitmqctl('add_user', name, password);
  const url = new URL(vhost.url);
  [url.username, url.password] = [name, password];
  return {
    url: url.href,
    password,
    may: ({ configure, write, read }) =>
      rabbitmqctl('set_permissions', '-p', vhost.name, name, configure, write, read),
    changePassword: (changed) => rabbitmqctl('change_password', name, changed),
    drop: () => rabbitmqctl('delete_user', name),
  };
}

/** Ends every connection of the virtual host, as an administrator or a shutdown does. */
export function closeConnections({ name }: TestVhost): Promise<void> {
  return rabbitmqctl('close_all_connections', '--vhost', name, 'by the test');
}

/** RELAY_TEST_RABBITMQCTL is how `npm test` reaches the broker it chose: a JSON array of command and arguments. */
export async function rabbitmqctl(...args: string[]): Promise<void> {
  const chosen: unknown = JSON.parse(process.env['RELAY_TEST_RABBITMQCTL'] ?? '["rabbitmqctl"]');
  const [command = '', ...first] = Array.isArray(chosen) ? chosen.map(String) : [];
  await run(command, [...first, '-q', ...args]);
}
