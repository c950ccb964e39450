import { afterAll, expect, it } from '@jest/globals';
import { AppHost } from './app-host.js';
import { freePort } from './broker.js';
import { eventually } from './eventually.js';

let last: AppHost | undefined;

afterAll(() => last?.park());

/** With an app in it that has answered; other spec files may have parked the process. */
async function startedHost(): Promise<AppHost> {
  const host = new AppHost();
  last = host;
  const port = String(await freePort());
  await host.start('portal-simulator', {
    SIMULATOR_PORT: port,
    B24_CLIENT_ID: 'local.test',
    B24_CLIENT_SECRET: 'a secret of the simulator',
    LOG_LEVEL: 'debug',
  });
  await host.process.ready(`http://127.0.0.1:${port}/health/ready`);
  return host;
}

it('a parked host is taken over without its apps and its log', async () => {
  const first = await startedHost();
  await eventually(() => expect(first.process.log()).toContain('portal-simulator'));
  await first.park();
  const second = new AppHost();
  expect(second.process.pid).toBe(first.process.pid);
  expect(second.process.log()).toBe('');
  await expect(second.stop('portal-simulator')).resolves.toBe(0);
  await second.park();
  const third = await startedHost();
  expect(third.process.pid).toBe(first.process.pid);
  expect(third.process.log()).not.toContain('parked');
  await third.park();
});

it('a host that was killed is not handed on', async () => {
  const killed = await startedHost();
  await killed.process.stop('SIGKILL');
  await killed.park();
  const next = await startedHost();
  expect(next.process.pid).not.toBe(killed.process.pid);
});

it('a host that ends while it is parked is not taken over', async () => {
  const first = await startedHost();
  const { pid = 0 } = first.process;
  await first.park();
  process.kill(pid, 'SIGKILL');
  await eventually(() => expect(() => process.kill(pid, 0)).toThrow('ESRCH'));
  const next = await startedHost();
  expect(next.process.pid).not.toBe(pid);
});
