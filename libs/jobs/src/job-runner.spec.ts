import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { databaseOptions, deferred, silentLog } from '@relay/platform';
import { DataSource } from 'typeorm';
import { freshDatabase, type TestDatabase } from '../../../test/support/database.js';
import { eventually } from '../../../test/support/eventually.js';
import { JobLeases } from './job-leases.js';
import { PortalJobs, type PortalJob } from './portal-jobs.js';
import { type JobHandler, JobRunner, JobYieldedError } from './job-runner.js';

const consumer = 'smart-process-sync';

/** Real: PostgreSQL; every runner plays a process of its own. */
describe('jobs of a consumer', () => {
  let database: TestDatabase;
  let source: DataSource;
  let queue: PortalJobs;
  const runners: JobRunner[] = [];
  let member = 0;

  beforeAll(async () => {
    database = await freshDatabase('libs/portals');
    source = await new DataSource(databaseOptions(database.url, 'spec')).initialize();
    queue = new PortalJobs(source);
  });
  afterEach(async () => {
    await Promise.all(runners.splice(0).map((one) => one.stop()));
    await source.query('DELETE FROM portals.tasks');
  });
  afterAll(async () => {
    await source.destroy();
    await database.drop();
  });

  async function portal(): Promise<string> {
    const memberId = `m${++member}`;
    await source.query(
      `INSERT INTO portals.portals (member_id, domain, client_endpoint, state, scope, status)
       VALUES ($1, $1, 'https://portal.example/rest/', 'installed', '{crm}', 'F')`,
      [memberId],
    );
    return memberId;
  }

  function runner(handler: JobHandler, leaseMs = 60_000, concurrency = 8): JobRunner {
    const made = new JobRunner({
      dataSource: source,
      consumer,
      log: silentLog,
      handlers: { backfill: handler, reconcile: handler },
      pollMs: 20,
      leaseMs,
      concurrency,
      harmlessAfterMs: 0,
    });
    runners.push(made);
    made.start();
    return made;
  }

  async function ended(id: string): Promise<PortalJob> {
    return await eventually(async () => {
      const job = await queue.find(id);
      if (!job || !['done', 'failed'].includes(job.state)) throw new Error(`still ${job?.state}`);
      return job;
    });
  }

  /** As if it had been done, so many seconds ago. */
  async function wasDone(memberId: string, kind: string, secondsAgo: number): Promise<string> {
    const { id } = await queue.request(consumer, memberId, kind);
    await source.query(
      `UPDATE portals.tasks SET state = 'done', requested_at = now() - make_interval(secs => $2 + 1),
         ended_at = now() - make_interval(secs => $2) WHERE id = $1`,
      [id, secondsAgo],
    );
    return id;
  }

  async function isTaken(id: string, leaseLeft: string): Promise<void> {
    await source.query(
      `UPDATE portals.tasks SET state = 'running', owner = gen_random_uuid(), lease_until = now() + $2::interval
       WHERE id = $1`,
      [id, leaseLeft],
    );
  }

  it('are done once, by whichever process looks first, and keep what came of them', async () => {
    const done: string[] = [];
    const { id } = await queue.request(consumer, await portal(), 'backfill');
    const handler: JobHandler = async ({ job, report }) => {
      await report({ items: 5 });
      done.push(job.id);
      return { items: 10 };
    };
    runner(handler);
    runner(handler);
    expect(await ended(id)).toMatchObject({ state: 'done', progress: { items: 10 }, error: null });
    expect(done).toEqual([id]);
  });

  it('are one while they wait, and start once more when they are asked for while they run', async () => {
    const memberId = await portal();
    const first = await queue.request(consumer, memberId, 'backfill');
    expect((await queue.request(consumer, memberId, 'backfill')).id).toBe(first.id);
    let runs = 0;
    runner(async () => {
      runs += 1;
      if (runs === 1) await queue.request(consumer, memberId, 'backfill');
      return { runs };
    });
    expect(await ended(first.id)).toMatchObject({ progress: { runs: 2 } });
    expect(runs).toBe(2);
  });

  it('have their waiting retries due now when their portal is woken, and those of no other portal', async () => {
    const [one, other] = [await portal(), await portal()];
    for (const memberId of [one, other]) await queue.request(consumer, memberId, 'backfill');
    await source.query(`UPDATE portals.tasks SET due_at = now() + interval '10 minutes'`);
    await queue.wake(new Set([one]));
    await expect(
      source.query('SELECT member_id AS of FROM portals.tasks WHERE due_at <= clock_timestamp()'),
    ).resolves.toEqual([{ of: one }]);
  });

  it('start anew at once when they are requested again, where the runner says so', async () => {
    const memberId = await portal();
    const started = new EventEmitter();
    let runs = 0;
    const made = new JobRunner({
      dataSource: source,
      consumer,
      log: silentLog,
      pollMs: 20,
      restartOnRequest: true,
      handlers: {
        bind: async ({ signal }) => {
          runs += 1;
          started.emit('run');
          // The first run hangs, as at a portal that does not answer.
          if (runs === 1) await once(signal, 'abort');
          return { runs };
        },
      },
    });
    runners.push(made);
    const firstRun = once(started, 'run');
    const { id } = await queue.request(consumer, memberId, 'bind', 'interactive');
    made.start();
    await firstRun;
    await queue.request(consumer, memberId, 'bind', 'interactive');
    expect(await ended(id)).toMatchObject({ state: 'done', progress: { runs: 2 } });
  });

  it('that are interactive are taken before others, in slots of their own', async () => {
    const [slow, fresh] = [await portal(), await portal()];
    const held = deferred<void>();
    const made = new JobRunner({
      dataSource: source,
      consumer,
      log: silentLog,
      pollMs: 20,
      concurrency: 1,
      reserved: 1,
      handlers: {
        bind: async ({ job }) => {
          if (job.memberId === slow) await held.promise;
          return {};
        },
      },
    });
    runners.push(made);
    const first = await queue.request(consumer, slow, 'bind');
    made.start();
    await eventually(async () => expect(await queue.find(first.id)).toMatchObject({ state: 'running' }));
    const waits = await queue.request(consumer, await portal(), 'bind');
    await ended((await queue.request(consumer, fresh, 'bind', 'interactive')).id);
    expect(await queue.find(waits.id)).toMatchObject({ state: 'waiting' });
    held.resolve();
    await ended(waits.id);
  });

  it('that nobody waits for run beside interactive ones, which fill the reserved slots first', async () => {
    const held = deferred<void>();
    const portals = [await portal(), await portal(), await portal()];
    const made = new JobRunner({
      dataSource: source,
      consumer,
      log: silentLog,
      pollMs: 20,
      concurrency: 1,
      reserved: 2,
      handlers: {
        bind: ({ job }) => (job.isInteractive ? held.promise.then(() => ({})) : Promise.resolve({})),
      },
    });
    runners.push(made);
    const [first, second] = portals;
    for (const memberId of [first, second]) {
      await queue.request(consumer, String(memberId), 'bind', 'interactive');
    }
    const waits = await queue.request(consumer, String(portals[2]), 'bind');
    made.start();
    await expect(ended(waits.id)).resolves.toMatchObject({ state: 'done' });
    held.resolve();
  });

  it('are taken newest first, where the runner says so', async () => {
    const order: string[] = [];
    const portals = [await portal(), await portal(), await portal()];
    for (const memberId of portals) await queue.request(consumer, memberId, 'bind');
    const made = new JobRunner({
      dataSource: source,
      consumer,
      log: silentLog,
      pollMs: 20,
      concurrency: 1,
      order: 'lifo',
      handlers: {
        bind: ({ job }) => {
          order.push(job.memberId);
          return Promise.resolve({});
        },
      },
    });
    runners.push(made);
    made.start();
    await eventually(() => expect(order).toEqual(portals.toReversed()));
  });

  it.each(['fifo', 'lifo'] as const)('are taken without reading all that wait: %s', async (order) => {
    await source.query(
      `WITH known AS (
         INSERT INTO portals.portals (member_id, domain, client_endpoint, state, scope, status)
         SELECT $1 || g, $1 || g, 'https://portal.example/rest/', 'installed', '{crm}', 'F' FROM generate_series(1, 5000) g
         RETURNING member_id)
       INSERT INTO portals.tasks (consumer, member_id, kind) SELECT $2, member_id, 'backfill' FROM known`,
      [order, consumer],
    );
    await source.query('ANALYZE portals.tasks');
    const leases = new JobLeases(source, {
      consumer,
      kinds: ['backfill'],
      owner: randomUUID(),
      leaseMs: 60_000,
      order,
    });
    const queries = jest.spyOn(source, 'query');
    await leases.take([]);
    await leases.giveUpPoison();
    await leases.rerunRequested();
    const asked = queries.mock.calls;
    queries.mockRestore();
    const plans: string[] = [];
    for (const [sql, parameters] of asked) {
      plans.push(JSON.stringify(await source.query(`EXPLAIN ${sql}`, parameters)));
    }
    expect(plans).toEqual([
      expect.stringContaining(order === 'fifo' ? 'tasks_oldest_first' : 'tasks_newest_first'),
      expect.stringContaining('tasks_running'),
      expect.stringContaining('tasks_running'),
    ]);
    expect(plans[0]).not.toContain('Sort');
  });

  it('are not asked for at a portal that nobody knows', async () => {
    await expect(queue.request(consumer, 'nobody', 'backfill')).rejects.toMatchObject({
      code: 'NOT_INSTALLED',
    });
  });

  it('of one portal are done one after the other', async () => {
    const memberId = await portal();
    let concurrency = 0;
    let maxConcurrency = 0;
    const handler: JobHandler = async ({ report }) => {
      maxConcurrency = Math.max(maxConcurrency, ++concurrency);
      for (let i = 0; i < 5; i++) await report({ i });
      concurrency -= 1;
      return {};
    };
    const both = [
      await queue.request(consumer, memberId, 'backfill'),
      await queue.request(consumer, memberId, 'reconcile'),
    ];
    runner(handler);
    for (const { id } of both) await ended(id);
    expect(maxConcurrency).toBe(1);
  });

  it('of a process without heartbeat are taken over, and its later reports are ignored', async () => {
    const { id } = await queue.request(consumer, await portal(), 'backfill');
    const gate = new EventEmitter();
    const asleep = once(gate, 'wake');
    const frozen = once(gate, 'frozen');
    runner(async ({ report, signal }) => {
      // As if the whole process stood still: its lease is not extended.
      await source.query(`UPDATE portals.tasks SET lease_until = now() - interval '1 s' WHERE id = $1`, [id]);
      await asleep;
      await report({ by: 'the first' }).catch(() => undefined);
      gate.emit('frozen', signal.aborted);
      return { by: 'the first' };
    });
    await eventually(async () => expect((await queue.find(id))?.state).toBe('running'));
    runner(async () => ({ by: 'the second' }));
    expect(await ended(id)).toMatchObject({ progress: { by: 'the second' } });
    gate.emit('wake');
    expect(await frozen).toEqual([true]);
    expect(await queue.find(id)).toMatchObject({ state: 'done', progress: { by: 'the second' } });
  });

  /** As if so many processes had been killed with it in hand, the last one this long ago. */
  async function lostItsProcess(id: string, times: number, ago: string): Promise<void> {
    await source.query(
      `UPDATE portals.tasks SET state = 'running', owner = gen_random_uuid(), lost_leases = $2 - 1, attempts = $2 - 1,
         lease_until = now() - $3::interval, due_at = now() - $3::interval WHERE id = $1`,
      [id, times, ago],
    );
  }

  it('count the end of their process as an attempt', async () => {
    const { id } = await queue.request(consumer, await portal(), 'backfill');
    await lostItsProcess(id, 1, '1 ms');
    let seen: PortalJob | undefined;
    runner(async ({ job }) => {
      seen = job;
      return {};
    });
    expect(await ended(id)).toMatchObject({ state: 'done', attempts: 0, lostLeases: 0 });
    expect(seen).toMatchObject({ attempts: 1, lostLeases: 1 });
  });

  it('wait longer each time that their process ends', async () => {
    const [soon, late] = [
      await queue.request(consumer, await portal(), 'backfill'),
      await queue.request(consumer, await portal(), 'backfill'),
    ];
    await lostItsProcess(soon.id, 3, '9 minutes');
    await lostItsProcess(late.id, 3, '1 minute');
    runner(async () => ({}));
    await ended(soon.id);
    expect(await queue.find(late.id)).toMatchObject({ state: 'running', lostLeases: 2 });
  });

  it('run exclusively once they are suspected of crashing the process', async () => {
    const suspect = await queue.request(consumer, await portal(), 'backfill');
    await lostItsProcess(suspect.id, 3, '9 minutes');
    const gate = new EventEmitter();
    const released = once(gate, 'release');
    const inFlight = new Set<string>();
    const beside: string[] = [];
    const started: string[] = [];
    runner(async ({ job }) => {
      started.push(job.id);
      inFlight.add(job.id);
      if (job.id === suspect.id) await released;
      else if (inFlight.has(suspect.id)) beside.push(job.id);
      inFlight.delete(job.id);
      return {};
    });
    await eventually(async () => expect(started).toEqual([suspect.id]));
    const other = await queue.request(consumer, await portal(), 'backfill');
    const looks = jest.spyOn(source, 'query');
    await eventually(async () => expect(looks.mock.calls.length).toBeGreaterThan(5));
    looks.mockRestore();
    expect(started).toEqual([suspect.id]);
    gate.emit('release');
    await ended(other.id);
    expect(beside).toEqual([]);
  });

  it('that keep crashing their process fail as poison, and the others go on', async () => {
    const memberId = await portal();
    const poison = await queue.request(consumer, memberId, 'backfill');
    const other = await queue.request(consumer, memberId, 'reconcile');
    await lostItsProcess(poison.id, 5, '1 ms');
    const started: string[] = [];
    runner(async ({ job }) => {
      started.push(job.id);
      return {};
    });
    await ended(other.id);
    expect(await queue.find(poison.id)).toMatchObject({
      state: 'failed',
      attempts: 5,
      error: expect.stringMatching(/^poison: the process that did it ended or stood still 5 times/),
    });
    expect(started).toEqual([other.id]);
  });

  it('that make progress are no suspects any more', async () => {
    const { id } = await queue.request(consumer, await portal(), 'backfill');
    await lostItsProcess(id, 4, '1 hour');
    let after: PortalJob | undefined;
    runner(async ({ report }) => {
      await report({ items: 1 });
      after = await queue.find(id);
      return {};
    });
    await ended(id);
    expect(after).toMatchObject({ lostLeases: 0, attempts: 0 });
  });

  it('of one slow portal occupy one slot, whatever they are', async () => {
    const slow = await portal();
    const gate = new EventEmitter();
    const released = once(gate, 'release');
    const started: string[] = [];
    for (const kind of ['backfill', 'reconcile']) await queue.request(consumer, slow, kind);
    const quick = await queue.request(consumer, await portal(), 'backfill');
    runner(
      async ({ job }) => {
        started.push(job.memberId);
        if (job.memberId === slow) await released;
        return {};
      },
      60_000,
      2,
    );
    await ended(quick.id);
    expect(started.filter((memberId) => memberId === slow)).toHaveLength(1);
    gate.emit('release');
  });

  it('of a process that shuts down are released at once, with their progress', async () => {
    const { id } = await queue.request(consumer, await portal(), 'backfill');
    const first = runner(async ({ report, signal }) => {
      await report({ items: 7 });
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      return {};
    });
    await eventually(async () => expect((await queue.find(id))?.progress).toEqual({ items: 7 }));
    await first.stop();
    expect(await queue.find(id)).toMatchObject({ state: 'waiting', progress: { items: 7 } });
    runner(async ({ job }) => ({ from: job.progress }));
    expect(await ended(id)).toMatchObject({ progress: { from: { items: 7 } } });
  });

  it('that yield go on behind those that wait, with their progress and no error', async () => {
    const members = [await portal(), await portal()];
    const jobs = [];
    for (const memberId of members) jobs.push(await queue.request(consumer, memberId, 'backfill'));
    const order: string[] = [];
    const take: JobHandler = async ({ job, report }) => {
      order.push(job.memberId);
      if (job.progress?.['turns'] === 1) return { turns: 2 };
      await report({ turns: 1 });
      throw new JobYieldedError();
    };
    runner(take, undefined, 1);
    for (const { id } of jobs)
      expect(await ended(id)).toMatchObject({ state: 'done', progress: { turns: 2 }, error: null });
    expect(order).toEqual([...members, ...members]);
  });

  it('that failed are tried again when that may help, and else say why', async () => {
    const hopeless = await queue.request(consumer, await portal(), 'backfill');
    const busy = await queue.request(consumer, await portal(), 'backfill');
    runner(async ({ job }) => {
      if (job.id === hopeless.id) throw Object.assign(new Error('ACCESS_DENIED'), { recovery: 'never' });
      throw Object.assign(new Error('QUERY_LIMIT_EXCEEDED'), { recovery: 'wait' });
    });
    expect(await ended(hopeless.id)).toMatchObject({ error: 'ACCESS_DENIED' });
    await eventually(async () => {
      expect(await queue.find(busy.id)).toMatchObject({
        state: 'waiting',
        attempts: 0,
        error: expect.stringContaining('QUERY_LIMIT_EXCEEDED'),
      });
    });
  });

  it('show the last of each kind', async () => {
    const memberId = await portal();
    runner(async () => ({}));
    await ended((await queue.request(consumer, memberId, 'backfill')).id);
    await ended((await queue.request(consumer, memberId, 'reconcile')).id);
    const again = await queue.request(consumer, memberId, 'backfill');
    const latest = await queue.latest(consumer, memberId);
    expect(latest.map(({ kind }) => kind)).toEqual(['backfill', 'reconcile']);
    expect(latest[0]?.id).toBe(again.id);
  });

  it('that ended are kept in a bounded number, however often a portal causes them', async () => {
    const [busy, other] = [await portal(), await portal()];
    const first = await wasDone(other, 'backfill', 5_000);
    for (let secondsAgo = 60; secondsAgo > 0; secondsAgo -= 1) await wasDone(busy, 'backfill', secondsAgo);
    const [rows] = await source.query<{ count: number }[]>(
      `SELECT count(*)::int, max(ended_at) > now() - interval '10 s' AS "hasLast" FROM portals.tasks WHERE member_id = $1`,
      [busy],
    );
    expect(rows).toEqual({ count: 21, hasLast: true });
    expect(await queue.find(first)).toBeDefined();
  });

  describe('of all portals', () => {
    const kinds = ['backfill', 'reconcile'];

    it('are shown with what is done first, then what waits, then what ended last', async () => {
      const [one, two] = [await portal(), await portal()];
      await wasDone(one, 'backfill', 500);
      const before = await wasDone(one, 'backfill', 100);
      const endedLast = await wasDone(two, 'reconcile', 10);
      await wasDone(two, 'count', 1);
      await wasDone(two, 'backfill', 1_000);
      const waiting = await queue.request(consumer, two, 'backfill');
      const running = await queue.request(consumer, one, 'count');
      await isTaken(running.id, '15 s');
      await queue.request('another-consumer', one, 'backfill');
      const overview = await queue.overview(consumer, kinds);
      expect(overview.tasks.map(({ id }) => id)).toEqual([running.id, waiting.id, endedLast, before]);
      expect(overview).toMatchObject({ running: 1, waiting: 1 });
      expect(overview.tasks[0]).toMatchObject({
        memberId: one,
        domain: one,
        state: 'running',
        isSilent: false,
      });
    });

    it('say when the process of one is not heard of any more', async () => {
      const { id } = await queue.request(consumer, await portal(), 'backfill');
      await isTaken(id, '-1 s');
      expect((await queue.overview(consumer, kinds)).tasks).toMatchObject([{ id, isSilent: true }]);
    });

    it('are counted, where they are too many to be shown', async () => {
      await source.query(
        `INSERT INTO portals.portals (member_id, domain, client_endpoint, state, scope, status)
         SELECT 'many' || n, 'many', 'https://portal.example/rest/', 'installed', '{crm}', 'F'
         FROM generate_series(1, 300) n`,
      );
      await source.query(
        `INSERT INTO portals.tasks (consumer, member_id, kind, state, ended_at)
         SELECT $1, 'many' || n, kind, state, CASE state WHEN 'done' THEN now() END
         FROM generate_series(1, 300) n, (VALUES ('reconcile', 'waiting'), ('backfill', 'done')) each (kind, state)`,
        [consumer],
      );
      const { tasks: shown, waiting } = await queue.overview(consumer, kinds);
      expect([waiting, shown.length]).toEqual([300, 150]);
    });
  });
});
