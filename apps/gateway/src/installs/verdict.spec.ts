import { describe, expect, it } from '@jest/globals';
import { needsAdministrator, type Standing, type Verdict, verdictOn, type Way } from './verdict.js';

type State = Standing['state'];

const states: State[] = ['unknown', 'installed', 'suspended', 'needs-reauth', 'uninstalled'];

/** As the table in docs/installing.md says it; `[administrator, anybody else]`, with a known application token. */
const table: [Way, Record<State, [Verdict, Verdict]>][] = [
  [
    'install',
    {
      unknown: ['install', 'install'],
      installed: ['install', 'trust-token'],
      suspended: ['install', 'trust-token'],
      'needs-reauth': ['install', 'install'],
      uninstalled: ['install', 'install'],
    },
  ],
  [
    'app-page',
    {
      unknown: ['install', 'refuse'],
      installed: ['install', 'trust-token'],
      suspended: ['install', 'trust-token'],
      'needs-reauth': ['reauthorize', 'refuse'],
      uninstalled: ['install', 'refuse'],
    },
  ],
  [
    'event',
    {
      unknown: ['nothing', 'nothing'],
      installed: ['nothing', 'nothing'],
      suspended: ['nothing', 'nothing'],
      'needs-reauth': ['reauthorize', 'refuse'],
      uninstalled: ['nothing', 'nothing'],
    },
  ],
];
const cases = table.flatMap(([way, verdicts]) =>
  states.map((state) => ({ way, state, verdicts: verdicts[state] })),
);

describe('a confirmed token pair', () => {
  it.each(cases)('that came by $way at a portal that is $state', ({ way, state, verdicts }) => {
    const standing = { state, knowsToken: true };
    expect([true, false].map((isAdministrator) => verdictOn(way, standing, isAdministrator))).toEqual(
      verdicts,
    );
  });

  const unasked = cases.filter(({ way, state }) => !needsAdministrator(way, { state, knowsToken: true }));
  it.each(unasked)('that came by $way at $state counts whosever it is', ({ way, state, verdicts }) => {
    expect(verdictOn(way, { state, knowsToken: true }, undefined)).toBe(verdicts[0]);
    expect(verdicts[0]).toBe(verdicts[1]);
  });

  it('brings the application token of a new installation with it, when the page is the first to tell', () => {
    expect(verdictOn('app-page', { state: 'needs-reauth', knowsToken: false }, true)).toBe('install');
  });

  it('never takes the place of a pair that works unless it is an administrator’s', () => {
    for (const state of ['installed', 'suspended'] as const) {
      for (const way of ['install', 'app-page', 'event'] as const) {
        for (const knowsToken of [true, false]) {
          expect(needsAdministrator(way, { state, knowsToken })).toBe(true);
          expect(['install', 'reauthorize']).not.toContain(verdictOn(way, { state, knowsToken }, false));
        }
      }
    }
  });
});
