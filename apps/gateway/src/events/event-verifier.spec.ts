import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { decodeForm, parseEnvelope } from '@relay/events';
import { PortalStoreUnavailableError, type KnownPortal, PortalCache } from '@relay/portals';
import { EventVerifier } from './event-verifier.js';

const memberId = 'a223c6b3710f85df22e9377d6c4f7553';
const notifier = { on: () => () => undefined, isListening: () => true };

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

function envelopeOf(applicationToken: string | undefined, name = 'ONCRMCONTACTADD', member = memberId) {
  const form = new URLSearchParams({ event: name, 'auth[member_id]': member });
  if (applicationToken !== undefined) form.set('auth[application_token]', applicationToken);
  return parseEnvelope(decodeForm(Buffer.from(form.toString())));
}

describe('an event is authenticated', () => {
  /** What the database holds. */
  let stored: KnownPortal[];
  let isDatabaseAway: boolean;
  let reads: number;
  let claims: [memberId: string, token: string][];
  let isPairWaiting: boolean;
  let nowMs: number;
  let verifier: EventVerifier;

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
      notifier,
      now: () => nowMs,
    });
    const pairs = {
      claim: async (member: string, token: string) => {
        claims.push([member, token]);
        return isPairWaiting;
      },
    };
    verifier = new EventVerifier(portalCache, pairs);
  });

  const notAuthorized = expect.objectContaining({ status: 401, reason: 'not-authorized' });

  it('by its portal’s token', async () => {
    await expect(verifier.verify(envelopeOf('right'))).resolves.toMatchObject({ memberId });
    expect(reads).toBe(1);
  });

  it('from what is cached, without the database', async () => {
    await verifier.verify(envelopeOf('right'));
    isDatabaseAway = true;
    nowMs += 30_000;
    await expect(verifier.verify(envelopeOf('right'))).resolves.toMatchObject({ memberId });
    expect(reads).toBe(1);
  });

  it.each([
    ['a wrong token', 'wrong', memberId],
    ['the right token, cut', 'righ', memberId],
    ['an empty token', '', memberId],
    ['no token', undefined, memberId],
    ['an unknown member', 'right', 'b223c6b3710f85df22e9377d6c4f7553'],
  ])('and refused with %s', async (_what, token, member) => {
    await expect(verifier.verify(envelopeOf(token, 'ONCRMCONTACTADD', member))).rejects.toEqual(
      notAuthorized,
    );
  });

  it('after a second look at the database, when the token is newer than what is cached', async () => {
    await verifier.verify(envelopeOf('right'));
    stored = [portalWith({ tokens: ['newer'] })];
    nowMs += 30_000;
    await expect(verifier.verify(envelopeOf('newer'))).resolves.toMatchObject({ memberId });
    await expect(verifier.verify(envelopeOf('right'))).rejects.toEqual(notAuthorized);
  });

  it('after a second look at the database, when the portal was unknown a moment ago', async () => {
    stored = [];
    await expect(verifier.verify(envelopeOf('right'))).rejects.toEqual(notAuthorized);
    stored = [portalWith({})];
    nowMs += 2_000;
    await expect(verifier.verify(envelopeOf('right'))).resolves.toMatchObject({ memberId });
  });

  it('with one such look in a second, however many wrong tokens come', async () => {
    await verifier.verify(envelopeOf('right'));
    nowMs += 30_000;
    reads = 0;
    for (let guess = 0; guess < 50; guess += 1) {
      await expect(verifier.verify(envelopeOf(`guess ${guess}`))).rejects.toEqual(notAuthorized);
    }
    expect(reads).toBe(1);
  });

  it('not at all while the database is away and the cache does not prove it: that is no 401', async () => {
    isDatabaseAway = true;
    await expect(verifier.verify(envelopeOf('right'))).rejects.toBeInstanceOf(PortalStoreUnavailableError);
    isDatabaseAway = false;
    nowMs += 2_000;
    await verifier.verify(envelopeOf('right'));
    isDatabaseAway = true;
    nowMs += 30_000;
    await expect(verifier.verify(envelopeOf('wrong'))).rejects.toBeInstanceOf(PortalStoreUnavailableError);
  });

  it.each(['ONAPPINSTALL', 'ONAPPUNINSTALL', 'ONAPPUPDATE'])(
    'for %s by the application’s own token, never a webhook’s',
    async (name) => {
      stored = [portalWith({ tokens: ['own', 'of a webhook'], appTokens: ['own'] })];
      isPairWaiting = true;
      await expect(verifier.verify(envelopeOf('own', name))).resolves.toMatchObject({ memberId });
      await expect(verifier.verify(envelopeOf('of a webhook', name))).rejects.toEqual(notAuthorized);
      expect(claims).toEqual([]);
      await expect(verifier.verify(envelopeOf('of a webhook'))).resolves.toMatchObject({ memberId });
    },
  );

  it('for a portal that is uninstalled by its token, once more, and for nothing else', async () => {
    stored = [portalWith({ state: 'uninstalled' })];
    await expect(verifier.verify(envelopeOf('right', 'ONAPPUNINSTALL'))).resolves.toMatchObject({ memberId });
    await expect(verifier.verify(envelopeOf('right'))).rejects.toEqual(notAuthorized);
  });

  it.each(['needs-reauth', 'suspended'] as const)('for a portal that is %s', async (state) => {
    stored = [portalWith({ state })];
    await expect(verifier.verify(envelopeOf('right'))).resolves.toMatchObject({ state });
  });

  it('by a pair of webhooks that waits, when nothing else proves it', async () => {
    stored = [];
    isPairWaiting = true;
    await expect(verifier.verify(envelopeOf('of a pair'))).resolves.toBeUndefined();
    expect(claims).toEqual([[memberId, 'of a pair']]);
  });
});
