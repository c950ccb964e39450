import { randomBytes } from 'node:crypto';
import { brokerUrl, dropVhost, rabbitmqctl, takeVhost } from './vhosts.mjs';

export { freePort } from './free-port.mjs';
export { canStartBroker, privateBroker } from './private-broker.mjs';
export type { PrivateBroker } from './private-broker.mjs';
export { rabbitmqctl } from './vhosts.mjs';

/** False only where no broker could be had; the run then says `RabbitMQ: NOT TESTED` on its last line. */
export const hasBroker = process.env['RELAY_TEST_BROKER'] !== 'none';

export interface TestVhost {
  url: string;
  name: string;
  drop(): Promise<void>;
}

/**
 * A virtual host of this spec alone on the shared broker. Its name holds the id of a process of this run, so that
 * `npm test` can drop what a killed run left; it is gone at the end of the run at the latest.
 */
export async function freshVhost(): Promise<TestVhost> {
  const name = await takeVhost();
  const url = new URL(brokerUrl);
  url.pathname = `/${name}`;
  return { url: url.href, name, drop: () => dropVhost(name) };
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
