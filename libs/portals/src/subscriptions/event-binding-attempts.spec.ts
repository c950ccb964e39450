import { Bitrix24Error } from '@relay/bitrix24';
import { silentLog } from '@relay/platform';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { clear, PortalsDatabase } from '../../test/portals-database.js';
import { EventBindingAttempts, ClaimLostError, type BindingClaim } from './event-binding-attempts.js';
import { EventBindings } from './event-bindings.js';
import { PortalRepository } from '../repository/portal-repository.js';
import { Subscriptions } from './subscriptions.js';
import { PortalCircuitBreaker } from '../suspension/portal-circuit-breaker.js';

const here = 'https://relay.example.com/b24/events';
const elsewhere = 'https://old.example.com/b24/events';
const memberId = 'm1';

describe('EventBindingAttempts', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let bindings: EventBindings;
  let attempts: EventBindingAttempts;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    bindings = new EventBindings(source);
    attempts = new EventBindingAttempts(source, silentLog);
  });
  beforeEach(async () => {
    await clear(source);
    await install();
  });
  afterAll(() => database.close());

  async function install(scope = ['crm']): Promise<void> {
    const grant = {
      memberId,
      clientEndpoint: 'https://one.bitrix24.com/rest/',
      accessToken: 'access',
      refreshToken: 'refresh',
      expiresAt: 0,
      scope,
      status: 'L',
      oauthHost: 'oauth.bitrix.info',
    };
    await new PortalRepository(source, database.box, []).install(grant, {});
  }

  async function fail(code = 'TIMEOUT', handler = here): Promise<void> {
    const error = new Bitrix24Error(code);
    await expect(attempts.attempt(memberId, 'bind', handler, () => Promise.reject(error))).rejects.toBe(
      error,
    );
  }

  async function attempt(
    ask: (claim: BindingClaim) => Promise<void> = async () => undefined,
    handler = here,
  ): Promise<boolean> {
    return await attempts.attempt(memberId, 'bind', handler, ask);
  }

  async function waitsS(): Promise<number[]> {
    const rows = await source.query<{ waitS: number }[]>(
      `SELECT round(extract(epoch FROM next_attempt_at - clock_timestamp()))::int AS "waitS"
       FROM portals.binding_attempts`,
    );
    return rows.map(({ waitS }) => waitS);
  }

  async function makeDue(): Promise<void> {
    await source.query(`UPDATE portals.binding_attempts SET next_attempt_at = now() - interval '1 s'`);
  }

  it('puts a portal off before it is asked, and takes that back when it has answered', async () => {
    await attempt(async () => expect(await waitsS()).toEqual([30]));
    expect(await waitsS()).toEqual([]);
  });

  it('lets one process ask at a time', async () => {
    const others: boolean[] = [];
    await attempt(async () => {
      others.push(
        await new EventBindingAttempts(await database.connect(), silentLog).attempt(
          memberId,
          'bind',
          here,
          () => Promise.reject(new Error('asked twice')),
        ),
      );
    });
    expect(others).toEqual([false]);
  });

  it('puts off what failed for twice as long each time, an hour at most', async () => {
    for (const waitS of [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]) {
      await fail();
      const [waits = 0] = await waitsS();
      expect(Math.abs(waits - waitS)).toBeLessThanOrEqual(2);
      expect(await attempt(() => Promise.reject(new Error('asked too early')))).toBe(false);
      await expect(bindings.missing(['ONE'], here)).resolves.toEqual(new Map());
      await makeDue();
      await expect(bindings.missing(['ONE'], here)).resolves.toEqual(new Map([[memberId, ['ONE']]]));
    }
  });

  it('says what failed, until it works again', async () => {
    await fail('ERROR_WRONG_HANDLER_URL');
    const report = { bound: 0, error: 'ERROR_WRONG_HANDLER_URL', notOffered: [] };
    expect((await bindings.reports()).get(memberId)).toMatchObject(report);
    await makeDue();
    await attempt(async (claim) => {
      expect((await bindings.reports()).get(memberId)).toMatchObject(report);
      await bindings.save(memberId, 'ONE', here, 'bound', { claim });
    });
    expect((await bindings.reports()).get(memberId)).toEqual({
      bound: 1,
      error: null,
      nextAttemptAt: null,
      notOffered: [],
    });
  });

  it('says that a process ended while it asked', async () => {
    await source.query(
      `INSERT INTO portals.binding_attempts (member_id, work, handler, scope, attempts, next_attempt_at, claim)
       VALUES ('m1', 'bind', $1, '{}', 1, now(), gen_random_uuid())`,
      [here],
    );
    await attempt(async () => {
      expect((await bindings.reports()).get(memberId)).toMatchObject({ error: 'INTERRUPTED' });
      expect((await waitsS())[0]).toBeGreaterThan(55);
    });
  });

  it('keeps nobody waiting for another address', async () => {
    for (let times = 0; times < 3; times += 1) {
      await fail();
      await makeDue();
    }
    await fail();
    expect(await attempt(undefined, elsewhere)).toBe(true);
  });

  it('is over with an install: what failed before it is forgotten, and what was asked before it is not stored', async () => {
    await fail();
    await install();
    expect(await attempt()).toBe(true);

    let storing: Promise<void> = Promise.resolve();
    const lost = attempt(async (claim) => {
      await install();
      await attempt(async () => {
        storing = bindings.save(memberId, 'ONE', here, 'bound', { claim });
        await storing.catch(() => undefined);
      });
      await install();
      throw new Bitrix24Error('TIMEOUT');
    });
    await expect(lost).rejects.toThrow('TIMEOUT');
    await expect(storing).rejects.toThrow(ClaimLostError);
    expect(await waitsS()).toEqual([]);
    expect(await bindings.of(memberId)).toEqual(new Map());
  });

  it('ended for an install that it did not see is due again at once', async () => {
    const lost = new ClaimLostError(memberId);
    await expect(attempt(() => Promise.reject(lost))).rejects.toBe(lost);
    expect(await attempt()).toBe(true);
  });

  it('is asked soon when the portal takes calls again', async () => {
    await fail();
    const circuitBreaker = new PortalCircuitBreaker(source, silentLog);
    await circuitBreaker.suspend(memberId, 'OVERLOAD_LIMIT');
    expect((await waitsS())[0]).toBeGreaterThan(20);
    await circuitBreaker.resume(memberId);
    await expect(bindings.missing(['ONE'], here)).resolves.toEqual(new Map([[memberId, ['ONE']]]));
  });

  async function missing(): Promise<string[]> {
    return (await bindings.missing(['KNOWN', 'UNKNOWN', 'SCOPED'], here)).get(memberId) ?? [];
  }

  async function askForThree(): Promise<void> {
    await attempt(async (claim) => {
      await bindings.save(memberId, 'KNOWN', here, 'bound', { claim });
      await bindings.save(memberId, 'UNKNOWN', here, 'unknown-event', { claim });
      await bindings.save(memberId, 'SCOPED', here, 'out-of-scope', { claim, permission: 'task' });
    });
  }

  it('has what was not offered asked for again after a day, or to an application with other permissions', async () => {
    await askForThree();
    expect(await missing()).toEqual([]);
    await source.query(`UPDATE portals.event_bindings SET bound_at = bound_at - interval '1 day'`);
    expect(await missing()).toEqual(['SCOPED', 'UNKNOWN']);
    await askForThree();
    expect(await missing()).toEqual([]);
    await source.query(`UPDATE portals.portals SET scope = '{task,crm}'`);
    expect(await missing()).toEqual(['SCOPED', 'UNKNOWN']);
    await askForThree();
    await source.query(`UPDATE portals.portals SET scope = '{crm,task}'`);
    expect(await missing()).toEqual([]);
  });

  it('tells of what is not offered as long as somebody wants it, and gets nothing in its place', async () => {
    const subscriptions = new Subscriptions(source, { on: () => () => undefined });
    await subscriptions.record('one', ['SCOPED', 'ITEMADD_147']);
    await bindings.save(memberId, 'SCOPED', here, 'out-of-scope', { permission: 'task' });
    await bindings.save(memberId, 'ITEMADD_147', here, 'unknown-event');
    await bindings.save(memberId, 'ITEMADD', here, 'bound');
    await bindings.save(memberId, 'RETIRED', here, 'unknown-event');
    const report = (await bindings.reports()).get(memberId);
    expect(report?.notOffered).toEqual([{ event: 'SCOPED', state: 'out-of-scope', permission: 'task' }]);
  });
});
