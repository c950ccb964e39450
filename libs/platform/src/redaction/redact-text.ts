import { UnescapedView } from './unescaped-view.js';

/** Replaces every secret. */
export const PLACEHOLDER = '[redacted]';

/**
 * Suffixes of the names of secrets: `access_token`, `OPS_TOKEN`, `clientSecret`, `TOKEN_KEYS`, the install page's
 * `AUTH_ID` and `REFRESH_ID` (settings/oauth/simple-way.md), headers.
 * `code` is not among them: it usually names an error, so only a query's `code=` counts as OAuth's.
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

/** The same and REST's `auth`, for a regular expression with the flag `i` over a whole text. */
const SECRET_NAMES_IN_TEXT = `(?:${endings}|(?<![a-z])auth)`;

const SECRET_NAME = new RegExp(`(?:${endings}|(?:^|\\[|%5b)(?:auth|pass|jwt))$`, 'i');

/** Names are short; a longer text is data, and searching it is not worth the cost. */
const MAX_NAME_LENGTH = 200;

/** Whether a value with this name is a secret, in any spelling: `accessToken`, `ACCESS_TOKEN`, `auth[access_token]`. */
export function isSecretName(name: string): boolean {
  if (name.length > MAX_NAME_LENGTH) return false;
  const innermost = name.replace(/(?:\]|%(?:25)*5d)$/i, '').replace(/(?:\[|%(?:25)*5b)\d*$/i, '');
  return SECRET_NAME.test(innermost);
}

/** Fields of an `auth` that are not secret (api-reference/events/index.md). */
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

/**
 * Fast path: nearly no line has a sign of a secret. Everything that `secretSpans` finds has one of these signs. Two
 * expressions, because one combined expression takes twice as long.
 */
const SIGN =
  /token|secret|passw|passphrase|api[_-]?key|private[_-]?key|auth|refresh[_-]?id|sess(?:ion)?[_-]?id|app[_-]?sid|cookie|bearer|basic\s|code=|[@%]|rest[/\\]|not valid JSON/i;
const LONG_WORD = /(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{40}/;

export function mayContainSecret(text: string): boolean {
  return SIGN.test(text) || LONG_WORD.test(text);
}

/**
 * Replaces by `[redacted]` what is a secret by its context or its shape: values of names such as `access_token`, in
 * forms (also percent-encoded, also twice), queries, JSON (also escaped within JSON, also truncated) and headers; users
 * and passwords in addresses; the code of an incoming webhook; long random words. All other text is unchanged. Linear
 * in the length.
 */
export function redactText(text: string): string {
  if (!mayContainSecret(text)) return text;
  const view = UnescapedView.of(text);
  const spans = secretSpans(view).toSorted(([one], [other]) => one - other);
  let redacted = '';
  let done = 0;
  for (const [from, to] of spans) {
    const [begin, end] = [view.startOf(from), view.startOf(to)];
    if (end <= done) continue;
    // Overlapping or adjacent spans are one secret.
    if (begin > done || done === 0) redacted += text.slice(done, begin) + PLACEHOLDER;
    done = end;
  }
  return redacted + text.slice(done);
}

/** Half-open range in the decoded text. */
type Span = readonly [from: number, to: number];

interface ValueStart {
  /** The `=` or `:` after the name. */
  separator: number;
  /** The first character after it that is not a space. */
  begin: number;
  /** A header can hold several cookies, separated by `; `. */
  isCookie: boolean;
}

/** The spans of secrets, by context or shape. Unordered, possibly overlapping. Linear in the length. */
function secretSpans(view: UnescapedView): Span[] {
  return [...namedValues(view), ...userInfo(view), ...webhookCodes(view), ...bareSecrets(view)];
}

/** `name=`, `"name":`, `name: `, `[name] => `; a header's name in a list; OAuth's `code=` in a query or a form. */
const NAMES = new RegExp(
  [
    String.raw`${SECRET_NAMES_IN_TEXT}(?:\[\d*\])*["'\`\]]*\s*(?:=>|[=:])\s*`,
    String.raw`(?:authorization|cookie)(["'\`])\s*,\s*(?=\1)`,
    String.raw`(?:(?<=[?&])code|^code(?==[^&\s]*&))=`,
  ].join('|'),
  'gi',
);

function* namedValues(view: UnescapedView): Generator<Span> {
  NAMES.lastIndex = 0;
  for (let found = NAMES.exec(view.text); found; found = NAMES.exec(view.text)) {
    const separator = found.index + found[0].trimEnd().length - 1;
    const span = valueSpan(view, { separator, begin: NAMES.lastIndex, isCookie: /^cookie/i.test(found[0]) });
    if (span === undefined) continue;
    yield span;
    NAMES.lastIndex = Math.max(NAMES.lastIndex, span[1]);
  }
}

/** Schemes of addresses with passwords typed by people, which may contain an unencoded `/`, `?` or `#`. */
const TYPED_BY_HAND = /(?:amqps?|postgres(?:ql)?):$/i;

/** The part of an address before the `@`. */
function* userInfo(view: UnescapedView): Generator<Span> {
  const { text } = view;
  const slashes = /\/\//g;
  while (slashes.exec(text)) {
    const begin = slashes.lastIndex;
    const before = text.slice(Math.max(0, begin - 22), begin - 2);
    // Double slashes within a path, such as `https://host//rest`.
    if (/[\w/.-]$/.test(before)) continue;
    const ends = TYPED_BY_HAND.test(before) ? /[\s"`<>]/ : /[\s"`<>/?#]/;
    const level = view.percentsAt(begin - 1);
    let at = begin;
    let end = begin;
    for (; at < text.length; at += 1) {
      const character = text.charAt(at);
      const percents = view.percentsAt(at);
      if (percents <= level && ends.test(character)) break;
      if (percents < level && character === '&') break;
      if (percents <= level && character === '@') end = at;
    }
    if (end > begin) yield [begin, end];
    slashes.lastIndex = at;
  }
}

/** `/rest/<user>/<code>/`: the address of an incoming webhook is its secret (local-integrations/local-webhooks.md). */
function* webhookCodes(view: UnescapedView): Generator<Span> {
  const { text } = view;
  const webhooks = /(?<![a-z0-9])rest\/+\d+\/+/gi;
  while (webhooks.exec(text)) {
    const begin = webhooks.lastIndex;
    const level = view.percentsAt(begin - 1);
    let end = begin;
    while (
      end < text.length &&
      !(view.percentsAt(end) <= level && /[\s/?#&"'`<>,;(){}|\\]/.test(text.charAt(end)))
    ) {
      end += 1;
    }
    if (end > begin) yield [begin, end];
    webhooks.lastIndex = end;
  }
}

/** Shapes that are secrets in any context; `matches` is a further condition. */
const bare: readonly { shape: RegExp; matches?: (text: string) => boolean }[] = [
  // Not `basic authentication`.
  {
    shape: /(?<=\b(?:bearer|basic)\s{1,4})[\w.~+/=-]{8,}/gi,
    matches: (text) => !/^[a-z]+$/i.test(text) || /[a-z][A-Z]/.test(text),
  },
  // Bitrix24's access and refresh tokens are longer; its member ids, UUIDs and trace ids are shorter.
  { shape: /(?<![a-z0-9])[a-z0-9]{40,}/gi, matches: (text) => /\d/.test(text) && /[a-z]/i.test(text) },
  // 32 bytes in base64: a key of TOKEN_KEYS.
  { shape: /(?<![a-z0-9+/])[a-z0-9+/]{43}=/gi },
  // JSON.parse quotes its input.
  { shape: /(?<=Unexpected token [^]{1,4}, (?:\.\.\.)?")[^]{1,80}?(?="(?:\.\.\.)? is not valid JSON)/g },
];

function* bareSecrets({ text }: UnescapedView): Generator<Span> {
  for (const { shape, matches } of bare) {
    for (const { 0: found, index } of text.matchAll(shape)) {
      if (matches?.(found) ?? true) yield [index, index + found.length];
    }
  }
}

/** Values that are not secrets, and SQL parameters. */
const NOTHING = /(?:null|undefined|true|false|\$\d+)(?=$|[\s,;)}\]&"'])/y;
const SCHEME = /(?:bearer|basic|negotiate|token)\s+/iy;
const REST_OF_LINE = /[^\r\n]*/y;

/** The value of a secret name, without quotes, up to the end that its notation defines. */
function valueSpan(view: UnescapedView, { separator, begin, isCookie }: ValueStart): Span | undefined {
  const { text } = view;
  const first = text.charAt(begin);
  if (matchEnd(NOTHING, text, begin) !== undefined) return undefined;
  // An object, whose own names decide; or a list that is already redacted.
  if (first === '{' || text.startsWith(`[${PLACEHOLDER}`, begin)) return undefined;
  if (first === '"' || first === "'" || first === '`') return solid(begin + 1, closingQuote(view, begin));
  if (first === '[' && !text.startsWith(PLACEHOLDER, begin))
    return solid(begin + 1, closingBracket(view, begin));
  const level = view.percentsAt(separator);
  if (isCookie || /^digest\s/i.test(text.slice(begin, begin + 7))) {
    return solid(begin, matchEnd(REST_OF_LINE, text, begin) ?? text.length);
  }
  const from = matchEnd(SCHEME, text, begin) ?? begin;
  return text.startsWith(PLACEHOLDER, from) ? undefined : solid(from, endOfWord(view, from, level));
}

function solid(from: number, to: number): Span | undefined {
  return from < to ? [from, to] : undefined;
}

function matchEnd(sticky: RegExp, text: string, at: number): number | undefined {
  sticky.lastIndex = at;
  return sticky.test(text) ? sticky.lastIndex : undefined;
}

/** The quote that closes the one at `open`, which is encoded and escaped no more often; the text's end if truncated. */
function closingQuote(view: UnescapedView, open: number): number {
  const { text } = view;
  const [percents, escapes] = [view.percentsAt(open), view.escapesAt(open)];
  for (
    let at = text.indexOf(text.charAt(open), open + 1);
    at >= 0;
    at = text.indexOf(text.charAt(open), at + 1)
  ) {
    const own = view.percentsAt(at);
    if (own < percents || (own === percents && view.escapesAt(at) <= escapes)) return at;
  }
  return text.length;
}

function closingBracket(view: UnescapedView, open: number): number {
  const { text } = view;
  for (let at = open + 1; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === ']' && view.percentsAt(at) <= view.percentsAt(open)) return at;
    if (character === '"') at = closingQuote(view, at);
  }
  return text.length;
}

const ALWAYS_ENDS = /[\s&"`<>]/;
/** These may belong to a value, unless followed by its end or by the next name. */
const MAY_END = /[,;)}\]|']/;
const NEXT_NAME = /["']?[\w.-]{1,64}["']?\s{0,4}[=:]/y;

/** The end of an unquoted value; a sign that is encoded more often than `level` belongs to the value. */
function endOfWord(view: UnescapedView, begin: number, level: number): number {
  const { text } = view;
  const isSign = (at: number, signs: RegExp): boolean =>
    at < text.length && view.percentsAt(at) <= level && signs.test(text.charAt(at));
  for (let at = begin; at < text.length; at += 1) {
    if (isSign(at, ALWAYS_ENDS)) return at;
    const first = at;
    while (isSign(at, MAY_END)) at += 1;
    if (at === first) continue;
    if (at === text.length || isSign(at, ALWAYS_ENDS)) return first;
    const name = matchEnd(NEXT_NAME, text, at);
    if (name !== undefined && view.percentsAt(name - 1) <= level) return first;
    at -= 1;
  }
  return text.length;
}
