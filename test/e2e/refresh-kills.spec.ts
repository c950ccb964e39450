import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { randomInt } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { RefreshRig, type Moment } from '../support/refresh-rig.js';
import type { Answer, RefreshWorker } from '../support/refresh-workers.js';

/** `REFRESH_EXPIRIES=200 npm test -- test/e2e/refresh-kills` is the long run. */
const expiries = Number(process.env['REFRESH_EXPIRIES'] ?? 12);
const maxRandomMs = 60;

jest.setTimeout(120_000 + expiries * 30_000);

const beforeTheExchange: Moment[] = ['lock', 'request'];
/** Between the OAuth server's answer and our commit: the one window where a kill loses the pair for good. */
const inTheWindow: Moment[] = ['answer', 'store', 'stored'];
const afterTheCommit: Moment[] = ['commit', 'done'];

interface Round {
  victim: RefreshWorker;
  /** Of the other three, in the round. */
  answers: Answer[];
  /** Of the victim, where it lived on. */
  victimAnswer: Answer | undefined;
  /** How many processes wrote that the portal has to authorize again. */
  marks: number;
  /** Whose exchanges the OAuth server has granted in the round. */
  granted: string[];
  state: string;
}

/**
 * Real: four processes, PostgreSQL, signals. Simulated: Bitrix24, whose refresh tokens work once. In each round the
 * access token expires, all four call, and one of them is killed or frozen at one step of the refresh.
 */
describe('a refresh whose process is', () => {
  let rig: RefreshRig;
  const figures = { expiries: 0, refreshes: 0, kills: 0, freezes: 0, lostInTheWindow: 0 };

  beforeAll(async () => {
    rig = await RefreshRig.start();
  }, 240_000);
  afterAll(async () => {
    if (process.env['REFRESH_EXPIRIES']) console.log(`refresh kills: ${JSON.stringify(figures)}`);
    await rig?.stop();
  }, 60_000);

  async function round(moment: Moment | 'any', fate: 'kill' | 'freeze'): Promise<Round> {
    const { renewals: before } = await rig.portal.statistics();
    const { pair } = await rig.database.stored();
    const marksBefore = marks();
    rig.oauth.forget();
    if (moment !== 'any') await rig.close(moment);
    await rig.portal.expireTokens();
    const calls = rig.workers.map((worker) => ({ worker, answer: worker.order({ what: 'call' }) }));
    if (moment === 'any') await pause(randomInt(maxRandomMs));
    const victim = moment === 'any' ? rig.someWorker() : await rig.arrived(moment, pair);

    const others = calls.filter(({ worker }) => worker !== victim).map(({ answer }) => answer);
    const own = calls.find(({ worker }) => worker === victim)?.answer;
    let victimAnswer: Answer | undefined;
    let answers: Answer[];
    if (fate === 'kill') {
      await victim.end('SIGKILL');
      if (moment !== 'any') await rig.open(moment, true);
      [answers] = await Promise.all([Promise.all(others), rig.replace(victim)]);
      figures.kills += 1;
    } else {
      victim.signal('SIGSTOP');
      // What it had asked the OAuth server arrives there late, what it was answered comes when it wakes.
      const isExchanging = moment === 'request' || moment === 'answer';
      if (moment !== 'any' && !isExchanging) await rig.open(moment, false);
      answers = await Promise.all(others);
      victim.signal('SIGCONT');
      if (moment !== 'any' && isExchanging) await rig.open(moment, false);
      victimAnswer = await own;
      figures.freezes += 1;
    }
    figures.expiries += 1;
    figures.refreshes += (await rig.portal.statistics()).renewals - before;
    expect((await rig.portal.statistics()).renewals - before).toBe(1);
    const { state } = await rig.database.stored();
    return {
      victim,
      answers,
      victimAnswer,
      marks: marks() - marksBefore,
      granted: [...rig.oauth.granted],
      state,
    };
  }

  function marks(): number {
    return rig.log().split('the portal has to authorize the application again').length - 1;
  }

  /** Every process calls the portal. */
  async function allCall(): Promise<Answer[]> {
    return Promise.all(rig.workers.map((worker) => worker.order({ what: 'call' })));
  }

  const works = expect.objectContaining({ ok: true });
  const allWork = [works, works, works, works];

  async function everybodyWorks(): Promise<void> {
    expect(await allCall()).toEqual(allWork);
  }

  async function heals(): Promise<void> {
    figures.lostInTheWindow += 1;
    expect(await allCall()).toEqual(allWork.map(() => expect.objectContaining({ code: 'NEEDS_REAUTH' })));
    await expect(rig.openApplication()).resolves.toEqual(works);
    expect((await rig.database.stored()).state).toBe('installed');
    await everybodyWorks();
  }

  it.each([...beforeTheExchange, ...afterTheCommit])(
    'killed at the step "%s" is not missed: one refresh, and everybody goes on',
    async (moment) => {
      const { answers, granted, state, marks: marked } = await round(moment, 'kill');
      expect(answers).toEqual([works, works, works]);
      expect(granted).toHaveLength(1);
      // Nobody has tried the spent pair: they waited for the lock, and read what was stored.
      expect(rig.oauth.asked).toEqual(granted);
      expect([state, marked]).toEqual(['installed', 0]);
      await everybodyWorks();
    },
  );

  it.each(inTheWindow)(
    'killed in the window, at "%s", loses the pair, until the next one comes',
    async (moment) => {
      const { victim, answers, granted, state } = await round(moment, 'kill');
      expect(granted).toEqual([victim.name]);
      expect(answers.map(({ code }) => code)).toEqual(['NEEDS_REAUTH', 'NEEDS_REAUTH', 'NEEDS_REAUTH']);
      expect(state).toBe('needs-reauth');
      await heals();
    },
  );

  it.each([...beforeTheExchange, ...afterTheCommit])(
    'frozen at the step "%s" stops nobody for long, and does no harm when it wakes',
    async (moment) => {
      const { answers, granted, state, marks: marked } = await round(moment, 'freeze');
      expect(answers).toEqual([works, works, works]);
      expect(granted).toHaveLength(1);
      expect([state, marked]).toEqual(['installed', 0]);
      await everybodyWorks();
    },
  );

  it.each(inTheWindow)('frozen in the window, at "%s", stores its pair when it wakes', async (moment) => {
    const { victim, victimAnswer, granted } = await round(moment, 'freeze');
    expect(granted).toEqual([victim.name]);
    expect(victimAnswer).toEqual(works);
    expect((await rig.database.stored()).state).toBe('installed');
    await everybodyWorks();
  });

  it('ended in good order during the exchange stores its answer first', async () => {
    const { pair } = await rig.database.stored();
    const { renewals: before } = await rig.portal.statistics();
    await rig.close('answer');
    await rig.portal.expireTokens();
    const [first] = rig.workers;
    void first?.order({ what: 'call' });
    const victim = await rig.arrived('answer', pair);
    const ended = victim.end('SIGTERM');
    await rig.open('answer', false);
    expect(await ended).toBe(0);
    const stored = await rig.database.stored();
    expect(stored).toEqual({ state: 'installed', pair: expect.not.stringContaining(pair) });
    await rig.replace(victim);
    await everybodyWorks();
    expect((await rig.portal.statistics()).renewals - before).toBe(1);
  });

  it(`killed or frozen at random, ${expiries} times, is refreshed once for each expiry, and heals where it was lost`, async () => {
    const moments = [...beforeTheExchange, ...inTheWindow, ...afterTheCommit, 'any' as const, 'any' as const];
    for (let number = 0; number < expiries; number += 1) {
      const moment = moments[randomInt(moments.length)] ?? 'any';
      const after = await round(moment, randomInt(5) === 0 ? 'freeze' : 'kill');
      expect(wrongWith(moment, after)).toEqual([]);
      if (after.state === 'needs-reauth') await heals();
      else await everybodyWorks();
    }
  });
});

/** What must not be after a round, whichever step it was. */
function wrongWith(moment: Moment | 'any', { victim, answers, granted, state }: Round): string[] {
  const wrong: string[] = [];
  const isVictims = granted[0] === victim.name;
  const couldBeLost = isVictims && (moment === 'any' || inTheWindow.includes(moment));
  if (granted.length !== 1) wrong.push(`${granted.length} exchanges were granted`);
  if (state !== 'installed' && !couldBeLost) wrong.push(`${state} after ${moment}`);
  if (!isVictims && !answers.every(({ ok }) => ok)) wrong.push(JSON.stringify(answers));
  return wrong;
}
