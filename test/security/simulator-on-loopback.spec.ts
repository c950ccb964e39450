import { afterEach, describe, expect, it } from '@jest/globals';
import { freePort } from '../support/broker.js';
import { anotherAddress, connects } from '../support/connects.js';
import { AppProcess } from '../support/processes.js';

/** Real: the simulator as built, its sockets. Whoever reaches it may do anything with it, so this machine alone does. */
describe('the simulator, and the control of it', () => {
  let app: AppProcess | undefined;
  afterEach(async () => {
    await app?.stop();
  });

  async function started(env: Record<string, string> = {}): Promise<number> {
    const port = await freePort();
    app = AppProcess.start('portal-simulator', 'apps/portal-simulator/src/main.js', {
      SIMULATOR_PORT: String(port),
      ...env,
    });
    await app.ready(`http://127.0.0.1:${port}/health/ready`);
    return port;
  }

  it('listens on loopback if nothing else is said', async () => {
    const port = await started();
    expect(await connects('127.0.0.1', port)).toBe(true);
    expect(await connects(anotherAddress, port)).toBe(false);
  });

  it('is reached from elsewhere only where SIMULATOR_HOST says so, as among containers', async () => {
    const port = await started({ SIMULATOR_HOST: '0.0.0.0' });
    expect(await connects(anotherAddress, port)).toBe(true);
  });
});
