import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { silentLog } from '@relay/platform';
import { ControlPlaneWatch } from './control-plane-watch.js';

describe('a gateway without a control plane', () => {
  let processes: object[];
  let errors: object[];
  let isDatabaseDown: boolean;
  let watch: ControlPlaneWatch;

  beforeEach(() => {
    jest.useFakeTimers();
    [processes, errors, isDatabaseDown] = [[], [], false];
    const database = {
      query: async () => {
        if (isDatabaseDown) throw new Error('the database is down');
        return processes;
      },
    };
    watch = new ControlPlaneWatch(database, {
      ...silentLog,
      error: (fields: object) => void errors.push(fields),
    });
    watch.start();
  });
  afterEach(async () => {
    await watch.stop();
    jest.useRealTimers();
  });

  it('is not called degraded while the services of a deployment start', async () => {
    await jest.advanceTimersByTimeAsync(29_000);
    expect(watch.health()).toEqual({ healthy: true });
    expect(errors).toEqual([]);
  });

  it('is not blamed for a database that does not answer', async () => {
    isDatabaseDown = true;
    await jest.advanceTimersByTimeAsync(120_000);
    expect(watch.health()).toEqual({ healthy: true });
    isDatabaseDown = false;
    await jest.advanceTimersByTimeAsync(40_000);
    expect(watch.health()).toMatchObject({ healthy: 'degraded' });
  });

  it('says so once, in health and log, and again when it is missing anew', async () => {
    await jest.advanceTimersByTimeAsync(120_000);
    expect(watch.health()).toMatchObject({
      healthy: 'degraded',
      reason: expect.stringContaining('No control plane reports'),
    });
    expect(errors).toEqual([{ event: 'control_plane.missing' }]);

    const at = new Date();
    processes = [
      {
        replica: 'r',
        host: 'h',
        pid: 7,
        address: 'http://10.0.0.7:9100',
        state: {},
        startedAt: at,
        reportedAt: at,
      },
    ];
    await jest.advanceTimersByTimeAsync(5_000);
    expect(watch.health()).toEqual({ healthy: true });
    expect(watch.addresses()).toEqual(['http://10.0.0.7:9100']);

    processes = [];
    await jest.advanceTimersByTimeAsync(120_000);
    expect(errors).toHaveLength(2);
  });
});
