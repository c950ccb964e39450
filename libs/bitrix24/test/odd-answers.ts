import { gzipSync } from 'node:zlib';
import fc from 'fast-check';

/** The client's secret: the access token, or the code of its webhook. */
export const OWN_SECRET = 's3cret-8f2e-91ab';
/** Foreign secrets: a webhook's code, an access token, a signed token. An answer can quote them, too. */
const FOREIGN_SECRETS = [
  'k4e1xw9kzsebuq1i',
  '5d2a1b3c4e5f60718293a4b5c6d7e8f900112233445566778899aabbccddeeff001122',
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhYmNkZWYxMjM0In0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJVadQssw5c',
];
export const SECRETS = [OWN_SECRET, ...FOREIGN_SECRETS];

const secret = fc.constantFrom(
  ...SECRETS,
  OWN_SECRET.toUpperCase(),
  `https://p.example/rest/1/${OWN_SECRET}/`,
  `{"access_token":"${OWN_SECRET}"}`,
);
const number = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.constantFrom(0, -1, 1.5, 2 ** 53, 2 ** 64, 1e308, Number.MIN_VALUE),
);
/** Names with a special meaning in JavaScript, PHP or this client. */
const KEYS = `a b read0 0 __proto__ constructor prototype toString hasOwnProperty
  then length items id ID error result time`.split(/\s+/);
const key = fc.constantFrom('', OWN_SECRET, ...KEYS);
const scalar = fc.oneof(fc.constantFrom(null, true, false, '', '0', '82'), number, secret, fc.string());
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4 }),
  ),
}));

const CODES = `expired_token invalid_token QUERY_LIMIT_EXCEEDED OPERATION_TIME_LIMIT ACCESS_DENIED
  INTERNAL_SERVER_ERROR NOT_FOUND __proto__ constructor`.split(/\s+/);
const code = fc.oneof(
  secret,
  secret.map((word) => `ERROR_${word}`),
  fc.constantFrom('', 'x y', ...CODES),
  value,
);
const time = fc.oneof(
  value,
  fc.record({ start: number, finish: number, operating: number, operating_reset_at: number }),
);
const extras = { error_description: fc.oneof(secret, fc.string()), time, total: value, next: value };
const items = fc.array(
  fc.oneof(fc.record({ id: fc.oneof(fc.constantFrom(1, 2, '1'), value), title: secret }), value),
  { maxLength: 3 },
);
const list = fc.oneof(items, fc.record({ items }));
const command = fc.oneof(fc.record({ error: code, error_description: secret }), code, list, time, value);
/** PHP serializes a map with the keys 0, 1, 2 … and an empty map as a list. */
const section = fc.oneof(
  fc.dictionary(key, command, { maxKeys: 4 }),
  fc.array(command, { maxLength: 3 }),
  value,
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

const json = fc.oneof(
  fc.record({ error: code, ...extras }, { requiredKeys: ['error'] }),
  fc.record({ result: fc.oneof(batchResult, list, value), ...extras }, { requiredKeys: ['result'] }),
  fc.record({ result: value, error: code, ...extras }, { requiredKeys: [] }),
  value,
);
const goodJson = json.map((body) => JSON.stringify(body));
/** JSON as damaged by a proxy, a broken disk or a patched portal. */
const mutatedJson = fc
  .tuple(
    goodJson,
    fc.nat(),
    fc.nat(3),
    fc.constantFrom('', '"', '}', ']', ',', '\0', '\ud800', '1e999', '{"', '\\u'),
  )
  .map(([text, at, length, put]) => {
    const index = text === '' ? 0 : at % text.length;
    return text.slice(0, index) + put + text.slice(index + length);
  });
const nested = fc
  .tuple(fc.constantFrom('[', '{"result":', '{"error":'), fc.constantFrom(50, 5_000), secret)
  .map(([open, depth, inside]) => open.repeat(depth) + JSON.stringify(inside));

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text);
}
const plain: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 30, arbitrary: goodJson.map(bytesOf) },
  { weight: 15, arbitrary: mutatedJson.map(bytesOf) },
  { weight: 5, arbitrary: goodJson.map((text) => bytesOf(text.slice(0, -1))) },
  { weight: 3, arbitrary: secret.map((text) => bytesOf(`<html><body>${text}</body></html>`)) },
  { weight: 3, arbitrary: fc.oneof(secret, fc.string()).map(bytesOf) },
  { weight: 3, arbitrary: fc.uint8Array({ maxLength: 100 }) },
  { weight: 1, arbitrary: nested.map(bytesOf) },
);

export interface OddAnswer {
  readonly httpStatus: number;
  readonly bytes: Uint8Array;
  /** The header `content-encoding`. */
  readonly encoding?: string;
}

const httpStatus = fc.oneof(
  { weight: 4, arbitrary: fc.constant(200) },
  { weight: 2, arbitrary: fc.constantFrom(201, 204, 400, 401, 402, 403, 404, 429, 500, 502, 503) },
);

/** Any answer with a body: valid, damaged, hostile. */
export const oddAnswer: fc.Arbitrary<OddAnswer> = fc.oneof(
  { weight: 20, arbitrary: fc.record({ httpStatus, bytes: plain }) },
  {
    weight: 1,
    arbitrary: fc.record({
      httpStatus,
      bytes: fc.oneof(
        plain,
        plain.map((bytes) => gzipSync(bytes)),
        plain.map((bytes) => gzipSync(bytes).subarray(0, -6)),
      ),
      encoding: fc.constantFrom('gzip', 'x-gzip', 'br', OWN_SECRET),
    }),
  },
);
