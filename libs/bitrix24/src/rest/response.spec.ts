import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { oddAnswer, OWN_SECRET, SECRETS } from '../../test/odd-answers.js';
import { type Behaviour, Peer } from '../../test/peer.js';
import { RecordingRateLimiter } from '../../test/recording-rate-limiter.js';
import { type PortalAccess, type TokenStore, webhookTokens } from './access.js';
import { Bitrix24Error } from './errors.js';
import { toHttpResult } from '../http/http-request.js';
import { PortalClient, type PortalClientOptions } from '../portal-client.js';
import type { ReadResponse } from '../http/response-reader.js';

/** Total number of answers, a quarter for each kind of request; `FUZZ_ANSWERS=50000` or more for a thorough run. */
const ANSWERS = Number(process.env['FUZZ_ANSWERS'] ?? 10_000);
const OVER_SOCKETS = 400;
const MAX_RESPONSE_BYTES = 20_000;

function checkError(error: unknown): void {
  if (!(error instanceof Bitrix24Error)) throw new Error(`no Bitrix24Error but ${inspect(error)}`);
  const shown = [inspect(error, { showHidden: true, depth: 5 }), JSON.stringify(error), error.stack].join(
    '\n',
  );
  const folded = shown.toLowerCase();
  for (const secret of SECRETS) {
    if (folded.includes(secret.toLowerCase())) throw new Error(`${secret} is in ${shown}`);
  }
}

const ask: Record<string, (client: PortalClient) => Promise<unknown>> = {
  'a call': (client) => client.call('crm.item.get', { id: 1 }),
  'a batch': async (client) => {
    const outcomes = await client.batch({ a: { method: 'crm.item.get' }, b: { method: 'user.current' } });
    expect(Object.keys(outcomes)).toEqual(['a', 'b']);
    for (const outcome of Object.values(outcomes)) if (!outcome.ok) checkError(outcome.error);
  },
  'a read by ids': (client) => client.listByIds(3, [1, 2]),
  'a page of a list': (client) => client.list('crm.item.list').next(),
};

function credentials(url: string, hooked: boolean): TokenStore {
  if (hooked) return webhookTokens(`${url}/rest/1/${OWN_SECRET}/`);
  const access: PortalAccess = { kind: 'oauth', endpoint: `${url}/rest/`, accessToken: OWN_SECRET };
  return { access: () => Promise.resolve(access), refresh: () => Promise.resolve(access) };
}

function options(url: string, hooked: boolean): PortalClientOptions {
  return {
    memberId: 'm1',
    tokens: credentials(url, hooked),
    rateLimiter: new RecordingRateLimiter(),
    allowHosts: ['127.0.0.1'],
    maxResponseBytes: MAX_RESPONSE_BYTES,
    repeatPauseMs: () => 0,
  };
}

/** Its message contains a secret, as runtime errors can. */
const lineError = Object.assign(new Error(`connect to /rest/1/${OWN_SECRET}/`), { code: OWN_SECRET });
const reception: fc.Arbitrary<ReadResponse> = fc.oneof(
  {
    weight: 30,
    arbitrary: oddAnswer.map((odd): ReadResponse => ({
      kind: 'answer',
      ...odd,
      bytes: Buffer.from(odd.bytes),
    })),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<ReadResponse>(
      { kind: 'cut', httpStatus: 200 },
      { kind: 'too-long', httpStatus: 200 },
      { kind: 'redirect', httpStatus: 302 },
      { kind: 'timeout', sent: true },
      { kind: 'failed', sent: false, error: lineError },
    ),
  },
);

describe('any response of a portal', () => {
  it.each(Object.keys(ask))(
    '%s gives a result or a Bitrix24Error that shows no secret',
    async (name) => {
      await fc.assert(
        fc.asyncProperty(reception, fc.boolean(), async (received, hooked) => {
          const client = new PortalClient(options('http://127.0.0.1', hooked), () =>
            toHttpResult(received, MAX_RESPONSE_BYTES),
          );
          await ask[name]?.(client).catch(checkError);
        }),
        { numRuns: ANSWERS / Object.keys(ask).length },
      );
      expect(Object.keys(Object.prototype)).toEqual([]);
    },
    120_000,
  );
});

describe('any bytes on the connection', () => {
  let peer: Peer;
  beforeAll(async () => {
    peer = await Peer.start();
  });
  afterAll(() => peer.stop());

  const headers = fc.record(
    {
      'content-type': fc.constantFrom('application/json', 'text/html', OWN_SECRET),
      location: fc.constantFrom(`/rest/1/${OWN_SECRET}/`, 'http://169.254.169.254/'),
      'set-cookie': fc.constant(`auth=${OWN_SECRET}`),
      'x-long': fc.constantFrom('x'.repeat(100), 'x'.repeat(20_000)),
    },
    { requiredKeys: ['content-type'] },
  );
  const behaviour: fc.Arbitrary<Behaviour> = fc.oneof(
    {
      weight: 10,
      arbitrary: fc.tuple(oddAnswer, headers).map(([{ httpStatus, bytes, encoding }, sent]) => ({
        status: httpStatus,
        headers: encoding === undefined ? sent : { ...sent, 'content-encoding': encoding },
        body: bytes,
      })),
    },
    { weight: 1, arbitrary: fc.record({ status: fc.constantFrom(301, 302, 304, 307), headers }) },
    { weight: 1, arbitrary: fc.constantFrom<Behaviour>('reset', 'cut') },
  );

  it.each(Object.keys(ask))(
    '%s gives a result or a Bitrix24Error that shows no secret',
    async (name) => {
      await fc.assert(
        fc.asyncProperty(behaviour, fc.boolean(), async (behaves, hooked) => {
          peer.answer = () => behaves;
          await ask[name]?.(new PortalClient(options(peer.url, hooked))).catch(checkError);
        }),
        { numRuns: OVER_SOCKETS / Object.keys(ask).length },
      );
      expect(peer.received.length).toBeGreaterThan(0);
    },
    60_000,
  );
});
