import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { decodeForm, type FormTree, type InstallClaim, parseEnvelope } from '@relay/events';
import { PortalStoreUnavailableError, type KnownPortal, PortalCache } from '@relay/portals';
import type { OfferedPair } from '@relay/installs';
import { EventAuthenticator } from './event-authenticator.js';

const memberId = 'a223c6b3710f85df22e9377d6c4f7553';
const postgresListener = { on: () => () => undefined, isListening: () => true };

const hashOf = (token: string): Buffer => createHash('sha256').update(token).digest();

function portalWith(
  changes: Partial<KnownPortal> & { tokens?: string[]; appTokens?: string[] },
): KnownPortal {
  const { tokens = ['right'], appTokens = tokens, ...rest } = changes;
  return {
    memberId,
    domain: 'one.bitrix24.com',
    clientEndpoint: 'https://one.bitrix24.com/rest/',
    state: 'installed',
    tokenHashes: tokens.map(hashOf),
    appTokenHashes: appTokens.map(hashOf),
    language: null,
    settings: {},
    ...rest,
  };
}

function formOf(
  applicationToken: string | undefined,
  name = 'ONCRMCONTACTADD',
  member = memberId,
  more: Record<string, string> = {},
): FormTree {
  const form = new URLSearchParams({ event: name, 'auth[member_id]': member, ...more });
  if (applicationToken !== undefined) form.set('auth[application_token]', applicationToken);
  return decodeForm(Buffer.from(form.toString()));
}

describe('an event is authenticated', () => {
  /** The portals in the database. */
  let stored: KnownPortal[];
  let isDatabaseAway: boolean;
  let reads: number;
  let claims: [memberId: string, token: string][];
  let isPairWaiting: boolean;
  let nowMs: number;
  let installs: [claim: InstallClaim, source: string][];
  let offered: OfferedPair[];
  let authenticator: EventAuthenticator;

  async function authenticate(form: FormTree): Promise<void> {
    await authenticator.authenticate(parseEnvelope(form), form);
  }

  beforeEach(() => {
    [stored, isDatabaseAway, reads, claims, isPairWaiting, nowMs] = [
      [portalWith({})],
      false,
      0,
      [],
      false,
      0,
    ];
    const portalCache = new PortalCache({
      readPortals: async (members) => {
        reads += 1;
        if (isDatabaseAway) throw new Error('the database is away');
        return stored.filter((portal) => members.includes(portal.memberId));
      },
      postgresListener,
      now: () => nowMs,
    });
    const pairs = {
      claim: async (member: string, token: string) => {
        claims.push([member, token]);
        return isPairWaiting;
      },
    };
    [installs, offered] = [[], []];
    const installer = {
      install: async (claim: InstallClaim, source: string) => {
        installs.push([claim, source]);
        return 'nothing' as const;
      },
    };
    const reauthorization = { enqueue: (pair: OfferedPair) => void offered.push(pair) };
    authenticator = new EventAuthenticator(portalCache, pairs, installer, reauthorization);
  });

  const notAuthorized = expect.objectContaining({ status: 401, reason: 'not-authorized' });

  it('by its portal’s token', async () => {
    await expect(authenticate(formOf('right'))).resolves.toBeUndefined();
    expect(reads).toBe(1);
  });

  it('from what is cached, without the database', async () => {
    await authenticate(formOf('right'));
    isDatabaseAway = true;
    nowMs += 30_000;
    await expect(authenticate(formOf('right'))).resolves.toBeUndefined();
    expect(reads).toBe(1);
  });

  it.each([
    ['a wrong token', 'wrong', memberId],
    ['the right token, cut', 'righ', memberId],
    ['an empty token', '', memberId],
    ['no token', undefined, memberId],
    ['an unknown member', 'right', 'b223c6b3710f85df22e9377d6c4f7553'],
  ])('and rejected with %s', async (_what, token, member) => {
    await expect(authenticate(formOf(token, 'ONCRMCONTACTADD', member))).rejects.toEqual(notAuthorized);
  });

  it('after a second look at the database, when the token is newer than what is cached', async () => {
    await authenticate(formOf('right'));
    stored = [portalWith({ tokens: ['newer'] })];
    nowMs += 30_000;
    await expect(authenticate(formOf('newer'))).resolves.toBeUndefined();
    await expect(authenticate(formOf('right'))).rejects.toEqual(notAuthorized);
  });

  it('after a second look at the database, when the portal was unknown a moment ago', async () => {
    stored = [];
    await expect(authenticate(formOf('right'))).rejects.toEqual(notAuthorized);
    stored = [portalWith({})];
    nowMs += 2_000;
    await expect(authenticate(formOf('right'))).resolves.toBeUndefined();
  });

  it('with one such look in a second, however many wrong tokens come', async () => {
    await authenticate(formOf('right'));
    nowMs += 30_000;
    reads = 0;
    for (let guess = 0; guess < 50; guess += 1) {
      await expect(authenticate(formOf(`guess ${guess}`))).rejects.toEqual(notAuthorized);
    }
    expect(reads).toBe(1);
  });

  it('not at all while the database is away and the cache does not prove it: that is no 401', async () => {
    isDatabaseAway = true;
    await expect(authenticate(formOf('right'))).rejects.toBeInstanceOf(PortalStoreUnavailableError);
    isDatabaseAway = false;
    nowMs += 2_000;
    await authenticate(formOf('right'));
    isDatabaseAway = true;
    nowMs += 30_000;
    await expect(authenticate(formOf('wrong'))).rejects.toBeInstanceOf(PortalStoreUnavailableError);
  });

  it.each(['ONAPPINSTALL', 'ONAPPUNINSTALL', 'ONAPPUPDATE'])(
    'for %s by the application’s own token, never a webhook’s',
    async (name) => {
      stored = [portalWith({ tokens: ['own', 'of a webhook'], appTokens: ['own'] })];
      isPairWaiting = true;
      await expect(authenticate(formOf('own', name))).resolves.toBeUndefined();
      await expect(authenticate(formOf('of a webhook', name))).rejects.toEqual(notAuthorized);
      expect(claims).toEqual([]);
      await expect(authenticate(formOf('of a webhook'))).resolves.toBeUndefined();
    },
  );

  it('for a portal that is uninstalled by its token, once more, and for nothing else', async () => {
    stored = [portalWith({ state: 'uninstalled' })];
    await expect(authenticate(formOf('right', 'ONAPPUNINSTALL'))).resolves.toBeUndefined();
    await expect(authenticate(formOf('right'))).rejects.toEqual(notAuthorized);
  });

  it.each(['needs-reauth', 'suspended'] as const)('for a portal that is %s', async (state) => {
    stored = [portalWith({ state })];
    await expect(authenticate(formOf('right'))).resolves.toBeUndefined();
  });

  it('by a pair of webhooks that waits, when nothing else proves it', async () => {
    stored = [];
    isPairWaiting = true;
    await expect(authenticate(formOf('of a pair'))).resolves.toBeUndefined();
    expect(claims).toEqual([[memberId, 'of a pair']]);
  });

  describe('that carries a pair of tokens', () => {
    const pair = {
      'auth[domain]': 'one.bitrix24.com',
      'auth[access_token]': 'access',
      'auth[refresh_token]': 'refresh',
    };

    it.each(['ONAPPINSTALL', 'ONAPPUPDATE'])('and is %s with a new token, as an install is', async (name) => {
      await authenticate(formOf('new', name, memberId, pair));
      expect(installs).toMatchObject([
        [{ memberId, applicationToken: 'new', refreshToken: 'refresh' }, expect.any(String)],
      ]);
    });

    it('and is another one with a wrong token, never', async () => {
      for (const name of ['ONCRMCONTACTADD', 'ONAPPUNINSTALL']) {
        await expect(authenticate(formOf('new', name, memberId, pair))).rejects.toEqual(notAuthorized);
      }
      await expect(authenticate(formOf('new', 'ONAPPINSTALL'))).rejects.toEqual(notAuthorized);
      expect(installs).toEqual([]);
    });

    it('and is of a portal that needs new ones, which are tried', async () => {
      stored = [portalWith({ state: 'needs-reauth' })];
      await authenticate(formOf('right', 'ONCRMCONTACTADD', memberId, pair));
      expect(offered).toMatchObject([{ memberId, refreshToken: 'refresh' }]);
      await expect(authenticate(formOf('wrong', 'ONCRMCONTACTADD', memberId, pair))).rejects.toEqual(
        notAuthorized,
      );
      stored = [portalWith({})];
      nowMs += 60_000;
      await authenticate(formOf('right', 'ONCRMCONTACTADD', memberId, pair));
      expect(offered).toHaveLength(1);
    });
  });
});
