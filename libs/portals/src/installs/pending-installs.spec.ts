import { once } from 'node:events';
import { silentLog } from '@relay/platform';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { eventually } from '../../../../test/support/eventually.js';
import { clear, dump, keptLog, PortalsDatabase } from '../../test/portals-database.js';
import { PendingInstalls, type ClaimOutcome, type PendingClaim } from './pending-installs.js';

function claim(number = 1, memberId = `m${number}`): PendingClaim {
  return {
    memberId,
    domain: `${memberId}.bitrix24.com`,
    applicationToken: `application-secret-${number}`,
    accessToken: `access-secret-${number}`,
    refreshToken: `refresh-secret-${number}`,
    language: 'tr',
  };
}

describe('PendingInstalls', () => {
  let database: PortalsDatabase;
  let source: DataSource;
  let pending: PendingInstalls;

  beforeAll(async () => {
    database = await PortalsDatabase.create();
    source = await database.connect();
    pending = new PendingInstalls(source, database.box, silentLog);
  });
  beforeEach(() => clear(source));
  afterAll(() => database.close());

  async function letTimePass(interval: string): Promise<void> {
    await source.query(
      `UPDATE portals.pending_installs SET next_try_at = next_try_at - $1::interval, kept_at = kept_at - $1::interval`,
      [interval],
    );
  }

  async function pauseS(): Promise<number> {
    const [row] = await source.query<{ pause: number }[]>(
      `SELECT extract(epoch FROM next_try_at - now())::float AS pause FROM portals.pending_installs`,
    );
    return row?.pause ?? NaN;
  }

  /** What one turn tries, with the outcome given. */
  async function take(outcome: ClaimOutcome = 'done', by = pending, limit = 100): Promise<PendingClaim[]> {
    const taken: PendingClaim[] = [];
    const tried = await by.takeDue(limit, (each) => {
      taken.push(each);
      return Promise.resolve(outcome);
    });
    expect(tried).toBe(taken.length);
    return taken;
  }

  it('hands a claim back as it came, once, when it is due', async () => {
    await pending.keep(claim());
    await expect(take()).resolves.toEqual([]);
    await letTimePass('6 seconds');
    await expect(take()).resolves.toEqual([claim()]);
    await letTimePass('1 hour');
    await expect(take()).resolves.toEqual([]);
  });

  it('keeps nothing readable', async () => {
    await pending.keep(claim());
    const stored = await dump(source);
    expect(stored).toContain('m1');
    expect(stored).not.toMatch(/secret|bitrix24/);
  });

  it('keeps one claim once, and a forged one beside the true one of the same portal', async () => {
    await pending.keep(claim(1, 'm1'));
    await pending.keep(claim(1, 'm1'));
    await pending.keep(claim(2, 'm1'));
    await letTimePass('1 minute');
    const taken = await take();
    expect(taken.map(({ refreshToken }) => refreshToken).toSorted()).toEqual([
      'refresh-secret-1',
      'refresh-secret-2',
    ]);
  });

  it('goes on with the claim that replaces one whose proof is used up, and does not begin anew', async () => {
    await pending.keep(claim());
    const renewed = { ...claim(), refreshToken: 'refresh-secret-next', applicationToken: undefined };
    await letTimePass('6 seconds');
    await take('later');
    await letTimePass('11 seconds');
    await expect(take({ replacedBy: renewed })).resolves.toEqual([claim()]);
    expect(Math.round(await pauseS())).toBe(20);
    await letTimePass('21 seconds');
    await expect(take()).resolves.toEqual([renewed]);
    await letTimePass('1 hour');
    await expect(take()).resolves.toEqual([]);
  });

  it('waits longer from try to try, at most an hour, and gives up after two days with a word in the log', async () => {
    const { log, lines } = keptLog();
    const logging = new PendingInstalls(source, database.box, log);
    await logging.keep(claim());
    const pauses: number[] = [];
    for (let round = 0; round < 14; round += 1) {
      await source.query('UPDATE portals.pending_installs SET next_try_at = now()');
      await take('later', logging);
      pauses.push(Math.round(await pauseS()));
    }
    expect(pauses.slice(0, 4)).toEqual([10, 20, 40, 80]);
    expect(pauses.at(-1)).toBe(3_600);
    expect(pauses).toEqual(pauses.toSorted((a, b) => a - b));

    await letTimePass('2 days');
    await expect(take('done', logging)).resolves.toEqual([]);
    expect(lines).toEqual([
      {
        level: 'warn',
        fields: { event: 'install.pending.expired', memberId: 'm1', tries: 14 },
        message: expect.stringContaining('never confirmed'),
      },
    ]);
  });

  it('takes no more at once than asked', async () => {
    for (let number = 0; number < 5; number += 1) await pending.keep(claim(number));
    await letTimePass('1 minute');
    await expect(take('done', pending, 2)).resolves.toHaveLength(2);
    await expect(take('done', pending, 9)).resolves.toHaveLength(3);
  });

  it('gives each claim to one gateway only', async () => {
    for (let number = 0; number < 30; number += 1) await pending.keep(claim(number));
    await letTimePass('1 minute');
    const gateways = await Promise.all(
      Array.from(
        { length: 5 },
        async () => new PendingInstalls(await database.connect(), database.box, silentLog),
      ),
    );
    const taken = (await Promise.all(gateways.map((gateway) => take('done', gateway)))).flat();
    expect(taken).toHaveLength(30);
    expect(new Set(taken.map(({ memberId }) => memberId)).size).toBe(30);
  });

  it('passes over a claim that another gateway is just about to take', async () => {
    await pending.keep(claim(1));
    await letTimePass('2 minutes');
    await pending.keep(claim(2));
    await letTimePass('1 minute');
    const other = await database.connect();
    await other.transaction(async (manager) => {
      await manager.query(`SELECT FROM portals.pending_installs WHERE member_id = 'm1' FOR UPDATE`);
      await expect(take()).resolves.toEqual([claim(2)]);
    });
    await expect(take()).resolves.toEqual([claim(1)]);
  });

  it('gives a claim to another gateway when the first dies over it, but not before', async () => {
    await pending.keep(claim());
    await letTimePass('1 minute');
    const crash = new AbortController();
    const dying = pending.takeDue(1, async () => {
      await once(crash.signal, 'abort');
      throw new Error('too late');
    });
    await eventually(async () => expect(await pauseS()).toBeGreaterThan(100));
    await expect(take()).resolves.toEqual([]);
    await letTimePass('2 minutes');
    await expect(take('later')).resolves.toEqual([claim()]);
    // The first was only slow: what it makes of the claim now counts no more.
    const pause = await pauseS();
    crash.abort();
    await expect(dying).resolves.toBe(1);
    expect(Math.abs((await pauseS()) - pause)).toBeLessThan(5);
  });

  it('goes on with the others when one fails, and tries that one again', async () => {
    const { log, lines } = keptLog();
    const logging = new PendingInstalls(source, database.box, log);
    await logging.keep(claim(1));
    await logging.keep(claim(2));
    await letTimePass('1 minute');
    const done: string[] = [];
    await logging.takeDue(10, ({ memberId }) => {
      if (memberId === 'm1') throw new Error('on purpose');
      done.push(memberId);
      return Promise.resolve('done');
    });
    expect(done).toEqual(['m2']);
    expect(lines).toEqual([expect.objectContaining({ level: 'error' })]);
    await letTimePass('1 minute');
    await expect(take()).resolves.toEqual([claim(1)]);
  });

  it('keeps at most twenty claims of one portal, since anybody can post them', async () => {
    for (let number = 0; number < 20; number += 1) await pending.keep(claim(number, 'm1'));
    await expect(pending.keep(claim(20, 'm1'))).rejects.toMatchObject({
      code: 'PENDING_FULL',
      memberId: 'm1',
    });
    await expect(pending.keep(claim(21, 'm2'))).resolves.toBeUndefined();
  });
});
