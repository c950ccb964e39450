import { afterEach, describe, expect, it } from '@jest/globals';
import type { ConsumerStatus } from '@relay/bus';
import { silentLog } from '@relay/platform';
import { register } from 'prom-client';
import { eventually } from '../../../../test/support/eventually.js';
import { StateMetrics, type StateMetricsOptions } from './state-metrics.js';

const status: ConsumerStatus = {
  consumer: 'formatter',
  waiting: 4,
  inHand: 3,
  retrying: 10,
  newer: 2,
  deferred: 5,
  dead: 1,
  oldestAt: null,
  shardsServed: 0,
  processes: [],
  missing: true,
  unknown: false,
};

/** What a scrape shows of these metrics, without their help. */
/** Counters are of each process, and begin with 0. */
async function shown(): Promise<string[]> {
  const names = /^relay_(consumer|portals|subscription|mirror|state)(?!\w*_total\b)/;
  return (await register.metrics()).split('\n').filter((line) => names.test(line));
}

/** Real: the timer and the registry. Fake: the lease, and what is counted. */
describe('the state metrics', () => {
  const made: StateMetrics[] = [];
  afterEach(async () => {
    for (const each of made.splice(0)) await each.stop();
  });

  function rig(changes: Partial<StateMetricsOptions> = {}) {
    const leader = { is: true, changed: () => undefined as void };
    let reads = 0;
    const metrics = new StateMetrics({
      lease: {
        isLeader: () => leader.is,
        onChange: (listener) => {
          leader.changed = () => listener(leader.is);
          return () => undefined;
        },
      },
      consumers: {
        statuses: async () => {
          reads += 1;
          return [status];
        },
      },
      portals: { countByState: async () => new Map([['installed', 7]] as const) },
      checks: { portalsWithDrift: async () => ({ missing: 1, surplus: 0 }) },
      jobs: { freshness: async () => ({ lagSeconds: 90, failed: 2 }) },
      mirror: { consumer: 'mirror', kinds: ['reconcile'] },
      log: silentLog,
      everyMs: 60_000,
      ...changes,
    });
    made.push(metrics);
    metrics.start();
    return { leader, reads: () => reads };
  }

  it('count what the bus, the portals and the mirror are like, once for any number of scrapes', async () => {
    const { reads } = rig();
    await eventually(async () =>
      expect(await shown()).toEqual(
        expect.arrayContaining([
          'relay_consumer_events{consumer="formatter",state="waiting"} 4',
          'relay_consumer_events{consumer="formatter",state="in_hand"} 3',
          'relay_consumer_events{consumer="formatter",state="retrying"} 3',
          'relay_consumer_events{consumer="formatter",state="deferred"} 5',
          'relay_consumer_events{consumer="formatter",state="newer"} 2',
          'relay_consumer_events{consumer="formatter",state="dead"} 1',
          'relay_consumer_missing{consumer="formatter"} 1',
          'relay_consumer_processes{consumer="formatter"} 0',
          'relay_portals{state="installed"} 7',
          'relay_portals{state="suspended"} 0',
          'relay_subscription_drift_portals{kind="missing"} 1',
          'relay_mirror_lag_seconds{consumer="mirror"} 90',
          'relay_mirror_failed_portals{consumer="mirror"} 2',
        ]),
      ),
    );
    await Promise.all([shown(), shown(), shown()]);
    expect(reads()).toBe(1);
  });

  it('are exported by the leader alone', async () => {
    const { leader, reads } = rig();
    await eventually(async () => expect(await shown()).not.toEqual([]));
    leader.is = false;
    leader.changed();
    await eventually(async () => expect(await shown()).toEqual([]));
    expect(reads()).toBe(1);
  });

  it('keep no old number of what cannot be counted, and show the rest', async () => {
    let isAway = false;
    const { leader } = rig({
      consumers: {
        statuses: () =>
          isAway ? Promise.reject(new Error('the broker is away')) : Promise.resolve([status]),
      },
    });
    await eventually(async () => expect((await shown()).join('\n')).toContain('relay_consumer_events'));
    isAway = true;
    leader.changed();
    await eventually(async () => expect((await shown()).join('\n')).not.toContain('relay_consumer_'));
    const rest = (await shown()).join('\n');
    expect(rest).toContain('relay_portals{state="installed"} 7');
    expect(rest).toContain('relay_state_collected_timestamp_seconds{part="portals"}');
    expect(rest).not.toContain('part="consumers"');
  });
});
