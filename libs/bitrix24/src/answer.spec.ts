import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Behaviour, Peer } from '../test/peer.js';
import { type PortalAccess, type TokenStore, webhookTokens } from './access.js';
import { Bitrix24Error } from './errors.js';
import { PortalClient } from './portal-client.js';

/** The access token in one half of the runs, the webhook's code in the other. */
const SECRET = 's3cret-8f2e-91ab';

const secret = fc.constantFrom(SECRET, SECRET.toUpperCase(), `https://p.example/rest/1/${SECRET}/`);
const code = fc.oneof(
  secret,
  secret.map((word) => `ERROR_${word}`),
  fc.constantFrom(
    'expired_token',
    'invalid_token',
    'QUERY_LIMIT_EXCEEDED',
    'OPERATION_TIME_LIMIT',
    '',
    'x y',
  ),
  fc.integer(),
  fc.jsonValue({ maxDepth: 1 }),
);
const extras = {
  error_description: fc.oneof(secret, fc.string()),
  time: fc.oneof(
    fc.jsonValue({ maxDepth: 1 }),
    fc.record({ finish: fc.double(), operating_reset_at: fc.double() }),
  ),
  total: fc.jsonValue({ maxDepth: 0 }),
  next: fc.jsonValue({ maxDepth: 0 }),
};
const section = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.dictionary(fc.constantFrom('a', 'b', '__proto__'), fc.oneof(fc.record({ error: code }), code, secret)),
);
const batchResult = fc.record(
  {
    result: section,
    result_error: section,
    result_total: section,
    result_next: section,
    result_time: section,
  },
  { requiredKeys: [] },
);
const answerJson = fc.oneof(
  fc.record({ error: code, ...extras }, { requiredKeys: ['error'] }),
  fc.record(
    { result: fc.oneof(batchResult, fc.jsonValue(), secret), ...extras },
    { requiredKeys: ['result'] },
  ),
  fc.record({ result: fc.jsonValue(), error: code, ...extras }, { requiredKeys: [] }),
  fc.jsonValue(),
);
const body = fc.oneof(
  { weight: 6, arbitrary: answerJson },
  { weight: 1, arbitrary: answerJson.map((json) => JSON.stringify(json).slice(0, -1)) },
  { weight: 1, arbitrary: fc.oneof(secret, fc.string()).map((text) => `<html><body>${text}</body></html>`) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
);
const reply: fc.Arbitrary<Behaviour> = fc.oneof(
  {
    weight: 40,
    arbitrary: fc.record({
      status: fc.oneof(
        { weight: 3, arbitrary: fc.constant(200) },
        { weight: 2, arbitrary: fc.constantFrom(204, 302, 400, 401, 403, 404, 429, 500, 502, 503) },
      ),
      headers: fc.constant({ location: `/rest/1/${SECRET}/` }),
      body,
    }),
  },
  { weight: 1, arbitrary: fc.constantFrom<Behaviour>('reset', 'cut') },
);

let peer: Peer;
beforeAll(async () => {
  peer = await Peer.start();
});
afterAll(() => peer.stop());

function oauthTokens(): TokenStore {
  const access: PortalAccess = { kind: 'oauth', endpoint: `${peer.url}/rest/`, accessToken: SECRET };
  return { access: () => Promise.resolve(access), renew: () => Promise.resolve(access) };
}

function checkError(error: unknown): void {
  expect(error).toBeInstanceOf(Bitrix24Error);
  const shown = [
    inspect(error, { showHidden: true, depth: 5 }),
    JSON.stringify(error),
    String(error),
    error instanceof Error ? error.stack : '',
  ].join('\n');
  expect(shown.toLowerCase()).not.toContain(SECRET);
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

describe('whatever a portal answers', () => {
  it.each(Object.keys(ask))(
    '%s gives a result or a Bitrix24Error that shows no secret',
    async (name) => {
      await fc.assert(
        fc.asyncProperty(reply, fc.boolean(), async (behaviour, hooked) => {
          peer.answer = () => behaviour;
          const tokens = hooked ? webhookTokens(`${peer.url}/rest/1/${SECRET}/`) : oauthTokens();
          const client = new PortalClient({ memberId: 'm1', tokens });
          await ask[name]?.(client).catch(checkError);
        }),
        { numRuns: 1250 },
      );
    },
    60_000,
  );
});
