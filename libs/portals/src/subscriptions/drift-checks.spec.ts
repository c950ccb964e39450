import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { clear, PortalsDatabase } from '../../test/portals-database.js';
import { DriftChecks } from './drift-checks.js';
import { EventBindings } from './event-bindings.js';

const SWEEP_MS = 60_000;
const HOUR_S = 3_600;
const here = 'https://relay.example.com/b24/events';

describe('DriftChecks', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let checks: DriftChecks;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    checks = new DriftChecks(source);
  });
  beforeEach(async () => {
    await clear(source);
  });
  afterAll(() => database.close());

  async function install(count: number, { kind = 'oauth', state = 'installed' } = {}): Promise<void> {
    await source.query(
      `WITH added AS (
         INSERT INTO portals.portals (member_id, domain, client_endpoint, state, scope, status, suspended_reason, suspended_until)
         SELECT $2 || n, 'x', 'https://portal.example/rest/', $3, '{crm}', 'F',
           CASE $3 WHEN 'suspended' THEN 'denied' END, CASE $3 WHEN 'suspended' THEN now() END
         FROM generate_series(1, $1) n RETURNING member_id)
       INSERT INTO portals.credentials (member_id, kind, access_token, refresh_token, webhook_url, expires_at)
       SELECT member_id, $4, CASE $4 WHEN 'oauth' THEN 'a' END, CASE $4 WHEN 'oauth' THEN 'r' END,
         CASE $4 WHEN 'webhook' THEN 'w' END, CASE $4 WHEN 'oauth' THEN now() END FROM added`,
      [count, `${kind}-${state}-`, state, kind],
    );
  }

  async function duesInS(): Promise<number[]> {
    const rows = await source.query<{ s: number }[]>(
      `SELECT extract(epoch FROM next_check_at - clock_timestamp())::float8 AS s FROM portals.drift_checks ORDER BY 1`,
    );
    return rows.map(({ s }) => s);
  }

  it('spreads the first comparisons of all portals over a day', async () => {
    await install(2_400);
    expect((await checks.takeDue(SWEEP_MS)).length).toBeLessThanOrEqual(10);
    const dues = await duesInS();
    expect(dues).toHaveLength(2_400);
    expect(Math.max(...dues)).toBeLessThanOrEqual(24 * HOUR_S);
    // In each hour about a hundred; fifty off is ten standard deviations.
    for (let hour = 0; hour < 24; hour += 1) {
      const count = dues.filter((s) => s >= hour * HOUR_S && s < (hour + 1) * HOUR_S).length;
      expect(Math.abs(count - 100)).toBeLessThan(60);
    }
  });

  it('takes as many after a downtime as take a fifth of a day, each once, the longest due first', async () => {
    await install(2_880);
    await checks.takeDue(SWEEP_MS);
    await source.query(
      `UPDATE portals.drift_checks SET next_check_at = now() - make_interval(secs => split_part(member_id, '-', 3)::int)`,
    );
    const first = await checks.takeDue(SWEEP_MS);
    expect(first.toSorted()).toEqual(
      Array.from({ length: 10 }, (_, at) => `oauth-installed-${2_880 - at}`).toSorted(),
    );
    const second = await checks.takeDue(SWEEP_MS);
    expect(second).toHaveLength(10);
    expect(second.some((one) => first.includes(one))).toBe(false);
  });

  it('takes no portal without the application, and none that is not called', async () => {
    await install(1, { kind: 'webhook' });
    await install(1, { state: 'suspended' });
    await install(1);
    await checks.takeDue(SWEEP_MS);
    await source.query(`UPDATE portals.drift_checks SET next_check_at = now()`);
    expect(await checks.takeDue(SWEEP_MS)).toEqual(['oauth-installed-1']);
  });

  it('compares again within a day, and within an hour where there was a difference', async () => {
    await install(1);
    for (const [missing, mostS] of [
      [0, 24 * HOUR_S],
      [3, HOUR_S],
    ] as const) {
      await checks.save('oauth-installed-1', { missing, surplus: 0, foreign: 7 });
      const [due = 0] = await duesInS();
      expect(due).toBeLessThanOrEqual(mostS);
      expect(due).toBeGreaterThanOrEqual(0.8 * mostS - 60);
    }
  });

  it('counts portals that differed, until they are compared again or installed anew', async () => {
    await install(3);
    await checks.save('oauth-installed-1', { missing: 3, surplus: 1, foreign: 0 });
    await checks.save('oauth-installed-2', { missing: 0, surplus: 1, foreign: 9 });
    await checks.save('oauth-installed-3', { missing: 0, surplus: 0, foreign: 9 });
    expect(await checks.portalsWithDrift()).toEqual({ missing: 1, surplus: 2 });
    expect((await checks.reports()).get('oauth-installed-1')).toMatchObject({
      missing: 3,
      surplus: 1,
      foreign: 0,
    });
    await checks.save('oauth-installed-1', { missing: 0, surplus: 0, foreign: 0 });
    await source.query(
      `UPDATE portals.portals SET installed_at = clock_timestamp() WHERE member_id = 'oauth-installed-2'`,
    );
    expect(await checks.portalsWithDrift()).toEqual({ missing: 0, surplus: 0 });
    expect([...(await checks.reports()).keys()].toSorted()).toEqual([
      'oauth-installed-1',
      'oauth-installed-3',
    ]);
  });

  it('knows every address that was ever bound', async () => {
    await checks.addAddress(here);
    await checks.addAddress(here);
    await checks.addAddress('https://new.example.com/b24/events');
    expect(await checks.addresses()).toEqual(new Set([here, 'https://new.example.com/b24/events']));
  });

  it('forgets a lost binding, but not one that was made since it was read', async () => {
    await install(1);
    const bindings = new EventBindings(source);
    for (const name of ['A', 'B']) await bindings.save('oauth-installed-1', name, here, 'bound');
    const read = [...(await bindings.of('oauth-installed-1'))].map(([name, row]) => ({ name, ...row }));
    await source.query(
      `UPDATE portals.event_bindings SET bound_at = bound_at + interval '1 s' WHERE name = 'B'`,
    );
    await bindings.forgetLost('oauth-installed-1', read);
    expect([...(await bindings.of('oauth-installed-1')).keys()]).toEqual(['B']);
  });
});
