import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { clear, PortalsDatabase } from '../../test/portals-database.js';
import { PortalQuery } from '../repository/portal-query.js';
import { EventArrivals } from './event-arrivals.js';
import { Reachability } from './reachability.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Monday, 00:00. */
const START = Date.UTC(2026, 10, 2);
const UPDATE = 'ONCRMCONTACTUPDATE';

/** Real: PostgreSQL. The clock is the spec's: weeks pass in a second. */
describe('Reachability', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let nowMs: number;
  let gateways: EventArrivals[];
  let reachability: Reachability;
  /** Whether what portals post arrives. */
  let isBlocked: boolean;
  let requests: { memberId: string; atMs: number }[];

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
  });
  beforeEach(async () => {
    await clear(source);
    [nowMs, isBlocked, requests] = [START, false, []];
    gateways = [0, 1].map(() => new EventArrivals(source, () => nowMs));
    reachability = new Reachability(source, () => nowMs);
  });
  afterAll(() => database.close());

  async function install(count: number, { mode = 'online', isBound = true } = {}): Promise<string[]> {
    await source.query(
      `WITH added AS (
         INSERT INTO portals.portals (member_id, domain, client_endpoint, state, scope, status, delivery_mode, installed_at)
         SELECT 'm' || n, 'x', 'https://portal.example/rest/', 'installed', '{crm}', 'F', $2, to_timestamp($3::float8 / 1000)
         FROM generate_series(1, $1) n RETURNING member_id),
       tokens AS (
         INSERT INTO portals.credentials (member_id, kind, access_token, refresh_token, expires_at)
         SELECT member_id, 'oauth', 'a', 'r', now() FROM added)
       INSERT INTO portals.event_bindings (member_id, name, handler, state)
       SELECT member_id, 'ONAPPTEST', 'https://relay.example/b24/events', 'bound' FROM added WHERE $4`,
      [count, mode, nowMs, isBound],
    );
    return Array.from({ length: count }, (_, at) => `m${at + 1}`);
  }

  function post(memberId: string, name = UPDATE, gateway = 0): void {
    if (!isBlocked) gateways[gateway]?.note(memberId, name);
  }

  async function flush(): Promise<void> {
    for (const gateway of gateways) await gateway.flush();
  }

  /** What the control plane does each minute: a portal that is to be tested posts ONAPPTEST, if that gets through. */
  async function check() {
    await flush();
    const { toTest, changes } = await reachability.check();
    for (const memberId of toTest) {
      requests.push({ memberId, atMs: nowMs });
      post(memberId, 'ONAPPTEST');
      const change = await reachability.saveTest(memberId, isBlocked ? 'missed' : 'arrived');
      if (change) changes.push(change);
    }
    return changes;
  }

  /** Lets time pass. @returns the changes of state, with the hours since the beginning */
  async function pass(untilMs: number, during: () => void = () => undefined, stepMs = MINUTE) {
    const changes: { memberId: string; isUnreachable: boolean; reason: string; afterMs: number }[] = [];
    const beganAt = nowMs;
    while (nowMs < untilMs) {
      nowMs += stepMs;
      during();
      changes.push(...(await check()).map((change) => ({ ...change, afterMs: nowMs - beganAt })));
    }
    return changes;
  }

  /** The past: like `pass`, with one check a day. */
  async function live(untilMs: number, during: () => void, stepMs: number): Promise<void> {
    while (nowMs < untilMs) {
      nowMs += stepMs;
      during();
      await (nowMs % DAY === 0 ? check() : flush());
    }
  }

  /** Somebody works there on weekdays from 8:00 to 18:00, with an event each quarter of an hour. */
  function officeHours(memberId: string): void {
    const at = new Date(nowMs);
    const isWork = at.getUTCDay() % 6 !== 0 && at.getUTCHours() >= 8 && at.getUTCHours() < 18;
    if (isWork && at.getUTCMinutes() % 15 === 0) post(memberId);
  }

  /** Of the offline queue: it reads records of this age. */
  async function poll(...agesMs: number[]): Promise<void> {
    await gateways[0]?.noteRecords(
      'm1',
      agesMs.map((ms) => nowMs - ms),
    );
  }

  async function states(): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { state } of await new PortalQuery(source).all()) counts[state] = (counts[state] ?? 0) + 1;
    return counts;
  }

  it('is not doubted by nights and weekends, and within two hours when events are missing in working hours', async () => {
    await install(1);
    await live(START + 13 * DAY, () => officeHours('m1'), 15 * MINUTE);
    requests = [];
    // A Sunday, and a night.
    await expect(pass(START + 14 * DAY, () => officeHours('m1'), 15 * MINUTE)).resolves.toEqual([]);
    expect(requests.length).toBeLessThanOrEqual(2);
    const monday = START + 14 * DAY;
    await pass(monday + 10 * HOUR, () => officeHours('m1'), 5 * MINUTE);
    requests = [];
    isBlocked = true;
    const changes = await pass(monday + 14 * HOUR, () => officeHours('m1'));
    expect(changes).toEqual([
      expect.objectContaining({ memberId: 'm1', isUnreachable: true, reason: 'test' }),
    ]);
    const silenceMs = changes[0]?.afterMs ?? 0;
    // Four quarters of an hour in which an event is usual; a check each ten minutes, and a second test.
    expect(silenceMs).toBeGreaterThanOrEqual(50 * MINUTE);
    expect(silenceMs).toBeLessThanOrEqual(85 * MINUTE);
    expect(requests[0]?.atMs).toBeGreaterThan(monday + 10 * HOUR + 50 * MINUTE);
    await expect(states()).resolves.toEqual({ unreachable: 1 });

    // Tested ever more rarely, until something comes.
    requests = [];
    await pass(nowMs + 10 * HOUR);
    expect(requests.length).toBeLessThanOrEqual(14);
    isBlocked = false;
    post('m1');
    nowMs += MINUTE;
    await expect(check()).resolves.toEqual([{ memberId: 'm1', reason: 'test', isUnreachable: false }]);
    await expect(states()).resolves.toEqual({ installed: 1 });
  }, 60_000);

  it('is tested no sooner than a busy portal can be silent, and a burst is one sign of life', async () => {
    await install(1);
    await live(START + 8 * DAY, () => post('m1'), 10 * MINUTE);
    await check();
    requests = [];
    isBlocked = true;
    const [change] = await pass(nowMs + 3 * HOUR);
    expect(change?.afterMs).toBeGreaterThanOrEqual(40 * MINUTE);
    expect(change?.afterMs).toBeLessThanOrEqual(55 * MINUTE);
  }, 60_000);

  it('costs 300 portals with an event a week less than two requests a portal and day', async () => {
    const all = await install(300);
    let hours = 0;
    const oneAWeek = (): void => {
      hours += 1;
      for (const [at, memberId] of all.entries()) if ((hours + at) % 168 === 0) post(memberId);
    };
    await live(START + 9 * DAY, oneAWeek, HOUR);
    requests = [];
    await pass(nowMs + 2 * DAY, oneAWeek, HOUR);
    expect(requests.length).toBeGreaterThan(300);
    expect(requests.length).toBeLessThan(2 * 2 * 300);
    const counts = new Map<string, number>();
    for (const { memberId } of requests) counts.set(memberId, (counts.get(memberId) ?? 0) + 1);
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(4);
    // Not at once, either: they are spread over the hours.
    const first = requests.filter(({ atMs }) => atMs === requests[0]?.atMs);
    expect(first.length).toBeLessThan(100);
    await expect(states()).resolves.toEqual({ installed: 300 });
  }, 120_000);

  it('is unreachable when two tests in a row do not arrive, not when one does not, and by whoever tests', async () => {
    await install(1);
    await check();
    await expect(reachability.saveTest('m1', 'missed')).resolves.toBeUndefined();
    nowMs += 30_000;
    post('m1', 'ONAPPTEST', 1);
    nowMs += MINUTE;
    await expect(check()).resolves.toEqual([]);
    expect(requests).toEqual([]);
    await reachability.saveTest('m1', 'untestable');
    await expect(reachability.saveTest('m1', 'missed')).resolves.toBeUndefined();
    nowMs += MINUTE;
    isBlocked = true;
    await expect(check()).resolves.toEqual([{ memberId: 'm1', reason: 'test', isUnreachable: true }]);
    expect(requests).toHaveLength(1);
    expect(await source.query('SELECT reason FROM portals.event_gaps')).toEqual([{ reason: 'UNREACHABLE' }]);
    // A job that was repeated, or another process.
    await expect(new Reachability(source, () => nowMs).saveTest('m1', 'missed')).resolves.toBeUndefined();
    await expect(reachability.saveTest('m1', 'arrived')).resolves.toEqual({
      memberId: 'm1',
      reason: 'test',
      isUnreachable: false,
    });
  });

  it('is judged only for portals that post to us', async () => {
    await install(1, { isBound: false });
    await expect(pass(START + 2 * DAY, undefined, HOUR)).resolves.toEqual([]);
    await source.query(`UPDATE portals.portals SET delivery_mode = 'offline'`);
    await source.query(
      `INSERT INTO portals.event_bindings (member_id, name, handler, state) VALUES ('m1', 'ONAPPTEST', '', 'bound')`,
    );
    await pass(START + 4 * DAY, undefined, HOUR);
    expect(requests).toEqual([]);
    await expect(reachability.saveTest('m1', 'missed')).resolves.toBeUndefined();
  });

  it('ends with a new installation of the portal', async () => {
    await install(1);
    isBlocked = true;
    await check();
    await reachability.saveTest('m1', 'missed');
    await reachability.saveTest('m1', 'missed');
    await expect(states()).resolves.toEqual({ unreachable: 1 });
    nowMs += MINUTE;
    await source.query(`UPDATE portals.portals SET installed_at = to_timestamp($1::float8 / 1000)`, [nowMs]);
    await expect(states()).resolves.toEqual({ installed: 1 });
  });

  describe('with the offline queue', () => {
    it('shows what keeps coming there alone, although tests arrive, until an event comes online', async () => {
      await install(1, { mode: 'both' });
      post('m1');
      await check();
      for (let polls = 0; polls < 4; polls += 1) {
        nowMs += 5 * MINUTE;
        // Signals, too.
        post('m1', 'ONOFFLINEEVENT');
        await poll(35_000, 40_000);
        const changes = await check();
        expect(changes).toEqual(
          polls < 2
            ? []
            : polls === 2
              ? [{ memberId: 'm1', reason: 'offline-only', isUnreachable: true }]
              : [],
        );
      }
      await expect(reachability.reports()).resolves.toMatchObject(
        new Map([['m1', { onlyOffline: 8, reason: 'offline-only', lastEventAt: new Date(START) }]]),
      );
      post('m1', 'ONAPPTEST');
      nowMs += MINUTE;
      await expect(check()).resolves.toEqual([]);
      post('m1');
      await expect(check()).resolves.toEqual([
        { memberId: 'm1', reason: 'offline-only', isUnreachable: false },
      ]);
      await expect(reachability.reports()).resolves.toMatchObject(
        new Map([['m1', { onlyOffline: 0, reason: null, unreachableSince: null }]]),
      );
    });

    it('does not show what was recorded while the gateway was away, nor what came online too', async () => {
      await install(1, { mode: 'both' });
      post('m1');
      await check();
      nowMs += 3 * HOUR;
      for (let polls = 0; polls < 4; polls += 1) {
        nowMs += 5 * MINUTE;
        await poll(HOUR, 2 * HOUR);
        expect(await check()).toEqual([]);
      }
      await expect(reachability.reports()).resolves.toMatchObject(new Map([['m1', { onlyOffline: 8 }]]));
      for (let polls = 0; polls < 4; polls += 1) {
        nowMs += 5 * MINUTE;
        post('m1');
        await flush();
        await poll(2_000, 35_000);
        expect(await check()).toEqual([]);
      }
      await expect(reachability.reports()).resolves.toMatchObject(new Map([['m1', { onlyOffline: 0 }]]));
    });
  });

  it('keeps what could not be stored, and a bounded number of slots', async () => {
    await install(2);
    post('m1');
    await source.query('ALTER TABLE portals.event_arrivals RENAME TO hidden');
    await expect(flush()).rejects.toThrow('event_arrivals');
    await source.query('ALTER TABLE portals.hidden RENAME TO event_arrivals');
    await flush();
    await expect(reachability.reports()).resolves.toMatchObject(
      new Map([['m1', { lastEventAt: new Date(START) }]]),
    );
    await source.query(
      `UPDATE portals.event_arrivals SET busy_slots = ARRAY(SELECT generate_series(1, 1008)) WHERE member_id = 'm1'`,
    );
    post('m1');
    post('m1', UPDATE, 1);
    await flush();
    const [row] = await source.query<{ count: number; last: number }[]>(
      `SELECT cardinality(busy_slots) AS count, busy_slots[cardinality(busy_slots)] AS last FROM portals.event_arrivals`,
    );
    expect(row).toEqual({ count: 1_008, last: START / (10 * MINUTE) });
  });
});
