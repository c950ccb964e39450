import { Bitrix24Error, type RequestOutcome } from '@relay/bitrix24';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { silentLog } from '@relay/platform';
import type { DataSource } from 'typeorm';
import { clear, PortalsDatabase } from '../../test/portals-database.js';
import { SingleUseOAuth } from '../../test/single-use-oauth.js';
import { PortalRepository } from '../repository/portal-repository.js';
import { PortalCircuitBreaker } from '../suspension/portal-circuit-breaker.js';
import { EventGaps } from './event-gaps.js';

const memberId = 'm1';
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const answered: RequestOutcome = { ok: true, method: 'profile' };

function rejected(code: string): RequestOutcome {
  return { ok: false, method: 'batch', error: new Bitrix24Error(code, { method: 'batch', httpStatus: 401 }) };
}

/** Real: PostgreSQL, with the portals and their suspensions. */
describe('a time whose events are missed', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let oauth: SingleUseOAuth;
  let circuitBreaker: PortalCircuitBreaker;
  let gaps: EventGaps;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    oauth = await SingleUseOAuth.start();
    gaps = new EventGaps(source);
  });
  beforeEach(async () => {
    await clear(source);
    circuitBreaker = new PortalCircuitBreaker(source, silentLog);
    await new PortalRepository(source, database.box, []).install(oauth.grant(memberId), {
      applicationToken: 'app-token',
    });
  });
  afterAll(async () => {
    await oauth.stop();
    await database.close();
  });

  /** How long ago the gaps since `id` began. */
  async function since(id = '0'): Promise<number | undefined> {
    const gap = await gaps.after(memberId, id);
    return gap && Date.now() - gap.beganAt.getTime();
  }
  /** @returns the number of the last gap that is over */
  async function ended(): Promise<string | undefined> {
    return (await gaps.lastEnded()).get(memberId);
  }
  async function count(): Promise<number> {
    return (await source.query<object[]>('SELECT FROM portals.event_gaps')).length;
  }
  const passHour = () =>
    source.query(
      `UPDATE portals.event_gaps SET began_at = began_at - interval '1 hour', ended_at = ended_at - interval '1 hour'`,
    );
  const change = (sql: string) => source.query(`UPDATE portals.portals SET ${sql}`);

  it.each(['PAYMENT_REQUIRED', 'ACCESS_DENIED'])(
    'after %s begins within the day before, when the portal was asked last, and ends when it answers',
    async (code) => {
      await circuitBreaker.note(memberId, rejected(code));
      expect(await ended()).toBeUndefined();
      await change(`suspended_until = now() - interval '1 s'`);
      await circuitBreaker.admit(memberId);
      // The next try is rejected as well: it is one gap.
      await circuitBreaker.note(memberId, rejected(code));
      expect(await ended()).toBeUndefined();
      await change(`suspended_until = now() - interval '1 s'`);
      await circuitBreaker.admit(memberId);
      await circuitBreaker.note(memberId, answered);
      const first = await ended();
      expect(first).toBeDefined();
      const ago = (await since()) ?? 0;
      expect(ago).toBeGreaterThanOrEqual(DAY_MS);
      expect(ago).toBeLessThan(DAY_MS + MINUTE_MS);
      expect(await since(first)).toBeUndefined();
    },
  );

  it.each(['OVERLOAD_LIMIT', 'PORTAL_DELETED'])(
    'is none after %s: the portal keeps its records',
    async (code) => {
      await circuitBreaker.note(memberId, rejected(code));
      await circuitBreaker.resume(memberId);
      await circuitBreaker.note(memberId, answered);
      expect(await ended()).toBeUndefined();
    },
  );

  it('lasts until a portal that an operator has resumed has answered, and ends with another install', async () => {
    await circuitBreaker.note(memberId, rejected('PAYMENT_REQUIRED'));
    await circuitBreaker.resume(memberId);
    expect(await ended()).toBeUndefined();
    circuitBreaker.noteResuming(memberId);
    await circuitBreaker.note(memberId, answered);
    const first = await ended();
    expect(first).toBeDefined();
    await circuitBreaker.note(memberId, rejected('PAYMENT_REQUIRED'));
    await new PortalRepository(source, database.box, []).install(oauth.grant(memberId), {});
    // Not within the hour.
    expect(await ended()).toBe(first);
    await passHour();
    expect(Number(await ended())).toBeGreaterThan(Number(first));
  });

  it('ends once an hour, and is one row, however often the portal is paid and is not', async () => {
    const flip = async (): Promise<void> => {
      await circuitBreaker.note(memberId, rejected('PAYMENT_REQUIRED'));
      await circuitBreaker.resume(memberId);
      circuitBreaker.noteResuming(memberId);
      await circuitBreaker.note(memberId, answered);
      await gaps.begin(memberId, 'WRONG_LICENSE', new Date());
      await gaps.endWrongLicense(memberId);
    };
    await circuitBreaker.note(memberId, rejected('PAYMENT_REQUIRED'));
    await circuitBreaker.resume(memberId);
    circuitBreaker.noteResuming(memberId);
    await circuitBreaker.note(memberId, answered);
    const first = await ended();
    const seen = new Set<string | undefined>();
    for (let minute = 0; minute < 10; minute += 1) {
      await flip();
      seen.add(await ended());
    }
    expect([...seen]).toEqual([first]);
    expect(await count()).toBe(2);
    // Nothing of it is left out, an hour after the first.
    await passHour();
    const second = await ended();
    expect(Number(second)).toBeGreaterThan(Number(first));
    expect(await since(first)).toBeGreaterThanOrEqual(DAY_MS);
  });

  it('is none beside another, so that what a consumer has seen is never followed by an earlier one', async () => {
    await gaps.begin(memberId, 'WRONG_LICENSE', new Date(Date.now() - HOUR_MS));
    await gaps.recordLostAnswer(memberId, new Date(Date.now() - 2 * HOUR_MS), MINUTE_MS);
    expect(await count()).toBe(1);
    expect(await ended()).toBeUndefined();
    await gaps.endWrongLicense(memberId);
    expect(await ended()).toBeDefined();
    expect(await since()).toBeGreaterThanOrEqual(2 * HOUR_MS);
  });

  it('of a plan that never allows the queue does not hide that another one is over', async () => {
    await gaps.begin(memberId, 'WRONG_LICENSE', new Date());
    await circuitBreaker.note(memberId, rejected('PAYMENT_REQUIRED'));
    await circuitBreaker.resume(memberId);
    circuitBreaker.noteResuming(memberId);
    await circuitBreaker.note(memberId, answered);
    expect(await ended()).toBeDefined();
    expect(await since()).toBeGreaterThanOrEqual(DAY_MS);
  });

  it('of a portal whose answers are always lost is not put off for ever', async () => {
    await gaps.recordLostAnswer(memberId, new Date(Date.now() - 2 * HOUR_MS), MINUTE_MS);
    await gaps.recordLostAnswer(memberId, new Date(), 2 * MINUTE_MS);
    await source.query(
      `UPDATE portals.event_gaps SET ended_at = ended_at - interval '1 minute' - interval '1 s'`,
    );
    expect(await ended()).toBeDefined();
    expect(await count()).toBe(2);
  });

  it('of a lost answer ends when the portal can have deleted nothing more, once an hour at most', async () => {
    const record = () => gaps.recordLostAnswer(memberId, new Date(Date.now() - MINUTE_MS), 2 * MINUTE_MS);
    const endings = async (): Promise<number[]> => {
      const rows = await source.query<{ endedAt: Date }[]>(
        'SELECT ended_at AS "endedAt" FROM portals.event_gaps ORDER BY id',
      );
      return rows.map(({ endedAt }) => endedAt.getTime() - Date.now());
    };
    await record();
    await record();
    expect(await ended()).toBeUndefined();
    expect(await endings()).toEqual([expect.closeTo(2 * MINUTE_MS, -5)]);
    await source.query(`UPDATE portals.event_gaps SET ended_at = now() - interval '1 s'`);
    const first = await ended();
    expect(first).toBeDefined();
    await record();
    await record();
    expect(await endings()).toEqual([expect.closeTo(-1_000, -4), expect.closeTo(HOUR_MS, -5)]);
    expect(await ended()).toBe(first);
  });

  it('of a portal whose events do not arrive is one if nothing is bound offline, in mode both as well, and ends with that', async () => {
    await source.query(
      `INSERT INTO portals.reachability (member_id, watched_since, next_check_at, unreachable_since, reason)
       VALUES ($1, now(), now(), clock_timestamp(), 'test')`,
      [memberId],
    );
    await source.query(
      `INSERT INTO portals.event_arrivals (member_id, heard_at) VALUES ($1, now() - interval '3 hours')`,
      [memberId],
    );
    await source.query(
      `INSERT INTO portals.offline_bindings (member_id, name, state) VALUES ($1, 'ONCRMCONTACTADD', 'bound')`,
      [memberId],
    );
    await gaps.begin(memberId, 'UNREACHABLE');
    await source.query(`UPDATE portals.offline_bindings SET state = 'unknown-event'`);
    await source.query('UPDATE portals.reachability SET unreachable_since = NULL, reason = NULL');
    expect(await ended()).toBeUndefined();
    await source.query(
      `UPDATE portals.reachability SET unreachable_since = clock_timestamp(), reason = 'test'`,
    );
    await gaps.begin(memberId, 'UNREACHABLE');
    expect(await ended()).toBeUndefined();
    await source.query('UPDATE portals.reachability SET unreachable_since = NULL, reason = NULL');
    expect(await ended()).toBeDefined();
    expect(await since()).toBeGreaterThanOrEqual(3 * HOUR_MS);
  });

  it('is forgotten after a month, with the next one, and with the portal', async () => {
    await circuitBreaker.note(memberId, rejected('PAYMENT_REQUIRED'));
    await circuitBreaker.resume(memberId);
    await source.query(`UPDATE portals.event_gaps SET ended_at = now() - interval '31 days'`);
    await gaps.begin(memberId, 'WRONG_LICENSE', new Date());
    await gaps.endWrongLicense(memberId);
    expect(await source.query('SELECT reason FROM portals.event_gaps')).toEqual([
      { reason: 'WRONG_LICENSE' },
    ]);
    await source.query('DELETE FROM portals.portals');
    expect(await source.query('SELECT FROM portals.event_gaps')).toEqual([]);
  });
});
