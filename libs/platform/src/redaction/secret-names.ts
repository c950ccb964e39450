/** What stands in a secret's place, everywhere. */
export const PLACEHOLDER = '[redacted]';

/**
 * Endings of the names under which secrets travel: `access_token`, `OPS_TOKEN`, `clientSecret`, `TOKEN_KEYS`, the install
 * page's `AUTH_ID` and `REFRESH_ID` (settings/oauth/simple-way.md), headers.
 * `code` is not among them: nearly always it names an error, so only a query's `code=` is taken for OAuth's.
 */
const endings = [
  'tokens?',
  'secrets?',
  'passwords?',
  'passwd',
  'passphrase',
  'api[_-]?keys?',
  'private[_-]?keys?',
  'token[_-]?keys?',
  'auth[_-]?id',
  'refresh[_-]?id',
  'sess(?:ion)?[_-]?id',
  'app[_-]?sid',
  'authorization',
  'cookies?',
].join('|');

/** The same, and REST's own `auth`, as they are found in a running text; for a regular expression with the flag `i`. */
export const SECRET_NAMES_IN_TEXT = `(?:${endings}|(?<![a-z])auth)`;

const SECRET_NAME = new RegExp(`(?:${endings}|(?:^|\\[|%5b)(?:auth|pass|jwt))$`, 'i');

/** Names are short; what is longer is data, and looking through it would cost more than it hides. */
const MAX_NAME_LENGTH = 200;

/** Whether what is kept under this name is a secret, in any spelling: `accessToken`, `ACCESS_TOKEN`, `auth[access_token]`. */
export function isSecretName(name: string): boolean {
  if (name.length > MAX_NAME_LENGTH) return false;
  const innermost = name.replace(/(?:\]|%(?:25)*5d)$/i, '').replace(/(?:\[|%(?:25)*5b)\d*$/i, '');
  return SECRET_NAME.test(innermost);
}

/** What may be read beside the tokens of an `auth` (api-reference/events/index.md). */
const PUBLIC_NAMES = new Set([
  'domain',
  'memberid',
  'userid',
  'expires',
  'expiresin',
  'expiresat',
  'scope',
  'status',
  'serverendpoint',
  'clientendpoint',
]);

export function isPublicName(name: string): boolean {
  return PUBLIC_NAMES.has(name.toLowerCase().replace(/[^a-z]/g, ''));
}
