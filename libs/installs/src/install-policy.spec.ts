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
      'needs-reauth': ['install', 'reject'],
      'needs-webhook': ['install', 'reject'],
      uninstalled: ['install', 'reject'],
    },
  ],
  [
    'app-page',
    {
      unknown: ['install', 'reject'],
      installed: ['install', 'nothing'],
      suspended: ['install', 'nothing'],
      'needs-reauth': ['reauthorize', 'reject'],
      'needs-webhook': ['install', 'reject'],
      uninstalled: ['install', 'reject'],
    },
  ],
  [
    'event',
    {
      unknown: ['nothing', 'nothing'],
      installed: ['nothing', 'nothing'],
      suspended: ['nothing', 'nothing'],
      'needs-reauth': ['reauthorize', 'reject'],
      'needs-webhook': ['nothing', 'nothing'],
      uninstalled: ['nothing', 'nothing'],
    },
  ],
];
const cases = table.flatMap(([way, decisions]) =>
  states.map((state) => ({ way, state, decisions: decisions[state] })),
);
const all = ways.flatMap((way) =>
  states.flatMap((state) => tokens.map((token) => ({ way, portal: { state, token } }))),
);

describe('a confirmed token pair', () => {
  it.each(cases)('that came by $way at a portal that is $state', ({ way, state, decisions }) => {
    const portal = { state, token: 'known' as const };
    expect([true, false].map((isAdministrator) => decideInstall(way, portal, isAdministrator))).toEqual(
      decisions,
    );
  });

  it('counts whosever it is where nobody asks whose', () => {
    for (const { way, portal } of all.filter((one) => !needsAdministrator(one.way, one.portal))) {
      const decisions = [true, false, undefined].map((is) => decideInstall(way, portal, is));
      expect(new Set(decisions).size).toBe(1);
    }
  });

  it('brings the application token of a new installation with it, when the page is the first to tell', () => {
    expect(decideInstall('app-page', { state: 'needs-reauth', token: 'new' }, true)).toBe('install');
    expect(decideInstall('app-page', { state: 'needs-reauth', token: 'none' }, true)).toBe('reauthorize');
  });

  it('changes nothing of a portal that is known unless it is an administrator’s', () => {
    for (const { way, portal } of all.filter((one) => one.portal.state !== 'unknown')) {
      expect(['reject', 'nothing']).toContain(decideInstall(way, portal, false));
    }
  });

  it('makes no application token believed unless it is an administrator’s', () => {
    for (const { way, portal } of all.filter((one) => one.portal.token !== 'none')) {
      expect(decideInstall(way, portal, false)).not.toBe('install');
      expect(decideInstall(way, portal, undefined)).not.toBe('install');
    }
  });
});
