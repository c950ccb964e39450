import fc from 'fast-check';

/** A value that contains a secret, and the spellings in which the secret must not be found. */
export interface Writing {
  what: unknown;
  spellings: string[];
}

const names = [
  'access_token',
  'refresh_token',
  'application_token',
  'accessToken',
  'AUTH_ID',
  'REFRESH_ID',
  'APP_SID',
  'APPLICATION_TOKEN',
  'client_secret',
  'clientSecret',
  'auth',
  'password',
  'OPS_TOKEN',
  'x-api-key',
  'Authorization',
] as const;

type Spell = (secret: string, name: string) => unknown;
const json: Spell = (secret, name) => JSON.stringify({ before: 1, [name]: secret, after: 'x' });
const php: Spell = (secret, name) => `auth[${name}]=${secret}&auth[domain]=demo.bitrix24.com`;
const form: Spell = (secret, name) =>
  `event=ONX&auth%5B${name}%5D=${encodeURIComponent(secret)}&auth%5Bdomain%5D=demo.bitrix24.com`;

/** Notations that quote or encode every special character of a secret. */
const forms: Record<string, Spell> = {
  form,
  'form within a form': (secret, name) => `x=1&body=${encodeURIComponent(String(form(secret, name)))}&y=2`,
  'query of an address': (secret, name) =>
    new URL(`https://demo.bitrix24.com/rest/profile?${new URLSearchParams({ [name]: secret, x: '1' })}`),
  'query parameters': (secret, name) => new URLSearchParams({ x: '1', [name]: secret }),
  json,
  'json within json': (secret, name) => JSON.stringify({ body: json(secret, name), n: 1 }),
  'json within json within json': (secret, name) =>
    JSON.stringify([JSON.stringify({ body: json(secret, name) })]),
  'json that is cut': (secret, name) => `{"member_id":"m1","${name}":${JSON.stringify(secret).slice(0, -1)}`,
  'json in a query': (secret, name) => `GET /x?body=${encodeURIComponent(String(json(secret, name)))}&y=1`,
  'form within json': (secret, name) => JSON.stringify({ body: form(secret, name) }),
  'password of an address': (secret) => `connect amqp://relay:${encodeURIComponent(secret)}@broker:5672/v`,
  'password of a parsed address': (secret) =>
    new URL(`postgres://relay:${encodeURIComponent(secret)}@db/relay`),
  'basic authentication': (secret) =>
    `authorization: Basic ${Buffer.from(`relay:${secret}`).toString('base64')}, accept: */*`,
  object: (secret, name) => ({ [name]: secret, ID: 82 }),
  'nested object': (secret, name) => ({ list: [{ [name]: { any: [secret] } }] }),
  Map: (secret, name) => new Map([[name, secret]]),
  bytes: (secret, name) => Buffer.from(String(json(secret, name))),
};

/** Notations that some characters would break: for secrets of Bitrix24's shape. */
const plainForms: Record<string, Spell> = {
  php,
  'php within json': (secret, name) => JSON.stringify({ body: php(secret, name) }),
  setting: (secret, name) => `${name}=${secret}, LOG_LEVEL=info`,
  inspected: (secret, name) => `{ '${name}': '${secret}', ID: 82 }`,
  header: (secret, name) => `${name}: ${secret}`,
  bearer: (secret) => `Authorization: Bearer ${secret}, accept: */*`,
  headers: (secret) =>
    new Headers({ authorization: `Bearer ${secret}`, cookie: `a=${secret}`, accept: '*/*' }),
  rawHeaders: (secret) => ['Host', 'x', 'Cookie', `a=${secret}`, 'Accept', '*/*'],
  cookies: (secret) => `cookie: a=1; b=${secret}`,
  webhook: (secret) => `POST https://demo.bitrix24.com/rest/1/${secret}/crm.item.list failed`,
  'webhook in json of PHP': (secret) =>
    JSON.stringify({ url: `https://demo.bitrix24.com/rest/1/${secret}/` }).replaceAll('/', String.raw`\/`),
  'webhook in a query': (secret) =>
    `x=${encodeURIComponent(`https://d.bitrix24.com/rest/12/${secret}/`)}&y=1`,
  'authorization code': (secret) => `GET /oauth/token/?grant_type=authorization_code&code=${secret}&x=1`,
};

/** Contains a digit, so that it does not match a word of the line by chance. */
const plainSecret = fc.stringMatching(/^[a-z]{2}\d[A-Za-z0-9._~-]{6,40}$/);
const anySecret = fc
  .string({ minLength: 4, maxLength: 30, unit: 'binary-ascii' })
  .filter((text) => /\S/.test(text))
  .map((text) => `q7${text}7q`);

const name = fc.constantFrom(...names);
const writingOf = (spellings: Record<string, Spell>, secret: fc.Arbitrary<string>): fc.Arbitrary<Writing> =>
  fc
    .tuple(fc.constantFrom(...Object.values(spellings)), secret, name)
    .map(([spell, value, called]) => ({ what: spell(value, called), spellings: spellingsOf(value) }));

export const writings: fc.Arbitrary<Writing> = fc.oneof(
  writingOf(forms, anySecret),
  writingOf(plainForms, plainSecret),
  writingOf(forms, plainSecret),
);

function spellingsOf(secret: string): string[] {
  const [encoded, quoted] = [encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)];
  const base64 = ['', 'relay:'].map((user) => Buffer.from(`${user}${secret}`).toString('base64'));
  return [
    secret,
    encoded,
    encodeURIComponent(encoded),
    quoted,
    JSON.stringify(quoted).slice(1, -1),
    ...base64,
  ];
}
