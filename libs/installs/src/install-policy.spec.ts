import { describe, expect, it } from '@jest/globals';
import {
  needsAdministrator,
  type PortalStatus,
  type InstallDecision,
  decideInstall,
  type InstallSource,
} from './install-policy.js';

type State = PortalStatus['state'];
type Token = PortalStatus['token'];

const states: State[] = ['unknown', 'installed', 'suspended', 'needs-reauth', 'needs-webhook', 'uninstalled'];
const ways: InstallSource[] = ['install', 'app-page', 'event'];
const tokens: Token[] = ['known', 'new', 'none'];

/** The table in docs/installing.md: `[administrator, other user]`, with a known application token. */
const table: [InstallSource, Record<State, [InstallDecision, InstallDecision]>][] = [
  [
    'install',
    {
      unknown: ['install', 'install-without-token'],
      installed: ['install', 'nothing'],
      suspended: ['install', 'nothing'],
      'needs-reauth': ['install', 'refuse'],
      'needs-webhook': ['install', 'refuse'],
      uninstalled: ['install', 'refuse'],
    },
  ],
  [
    'app-page',
    {
      unknown: ['install', 'refuse'],
      installed: ['install', 'nothing'],
      suspended: ['install', 'nothing'],
      'needs-reauth': ['reauthorize', 'refuse'],
      'needs-webhook': ['install', 'refuse'],
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
      'needs-webhook': ['nothing', 'nothing'],
      uninstalled: ['nothing', 'nothing'],
    },
  ],
];
const cases = table.flatMap(([way, verdicts]) =>
  states.map((state) => ({ way, state, verdicts: verdicts[state] })),
);
const all = ways.flatMap((way) =>
  states.flatMap((state) => tokens.map((token) => ({ way, standing: { state, token } }))),
);

describe('a confirmed token pair', () => {
  it.each(cases)('that came by $way at a portal that is $state', ({ way, state, verdicts }) => {
    const standing = { state, token: 'known' as const };
    expect([true, false].map((isAdministrator) => decideInstall(way, standing, isAdministrator))).toEqual(
      verdicts,
    );
  });

  it('counts whosever it is where nobody asks whose', () => {
    for (const { way, standing } of all.filter((one) => !needsAdministrator(one.way, one.standing))) {
      const verdicts = [true, false, undefined].map((is) => decideInstall(way, standing, is));
      expect(new Set(verdicts).size).toBe(1);
    }
  });

  it('brings the application token of a new installation with it, when the page is the first to tell', () => {
    expect(decideInstall('app-page', { state: 'needs-reauth', token: 'new' }, true)).toBe('install');
    expect(decideInstall('app-page', { state: 'needs-reauth', token: 'none' }, true)).toBe('reauthorize');
  });

  it('changes nothing of a portal that is known unless it is an administrator’s', () => {
    for (const { way, standing } of all.filter((one) => one.standing.state !== 'unknown')) {
      expect(['refuse', 'nothing']).toContain(decideInstall(way, standing, false));
    }
  });

  it('makes no application token believed unless it is an administrator’s', () => {
    for (const { way, standing } of all.filter((one) => one.standing.token !== 'none')) {
      expect(decideInstall(way, standing, false)).not.toBe('install');
      expect(decideInstall(way, standing, undefined)).not.toBe('install');
    }
  });
});
