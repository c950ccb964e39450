import { DecodedText } from './decoded-text.js';

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
const SECRET_NAMES_IN_TEXT = `(?:${endings}|(?<![a-z])auth)`;

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

/**
 * Nearly no line has a sign of a secret, so looking for one is all that most of them cost. Everything that `secretSpans`
 * finds has one of these signs. Two expressions, for together they take twice as long.
 */
const SIGN =
  /token|secret|passw|passphrase|api[_-]?key|private[_-]?key|auth|refresh[_-]?id|sess(?:ion)?[_-]?id|app[_-]?sid|cookie|bearer|basic\s|code=|[@%]|rest[/\\]|not valid JSON/i;
const LONG_WORD = /(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{40}/;

export function mayContainSecret(text: string): boolean {
  return SIGN.test(text) || LONG_WORD.test(text);
}

/**
 * The text with `[redacted]` in place of what its surroundings or its looks show to be a secret: values of names such as
 * `access_token`, in forms (also percent-encoded, also twice), queries, JSON (also escaped within JSON, also cut) and
 * headers; users and passwords in addresses; the code of an incoming webhook; long random words. What is left out is
 * everything else. Takes time in proportion to the length.
 */
export function redactText(text: string): string {
  if (!mayContainSecret(text)) return text;
  const view = DecodedText.of(text);
  const spans = secretSpans(view).toSorted(([one], [other]) => one - other);
  let redacted = '';
  let done = 0;
  for (const [from, to] of spans) {
    const [begin, end] = [view.startOf(from), view.startOf(to)];
    if (end <= done) continue;
    // Finds that overlap or touch are one secret.
    if (begin > done || done === 0) redacted += text.slice(done, begin) + PLACEHOLDER;
    done = end;
  }
  return redacted + text.slice(done);
}

/** From the first character to before the last one, in the decoded text. */
type Span = readonly [from: number, to: number];

interface ValueStart {
  /** The `=` or `:` after the name. */
  separator: number;
  /** The first character after it that is no space. */
  begin: number;
  /** Cookies are several, divided by `; `. */
  isCookie: boolean;
}

/** Where secrets stand, as far as their surroundings or their looks show. In no order, and they may overlap. Linear. */
function secretSpans(view: DecodedText): Span[] {
  return [...namedValues(view), ...userInfo(view), ...webhookCodes(view), ...bareSecrets(view)];
}

/** `name=`, `"name":`, `name: `, `[name] => `; a header's name in a list; OAuth's `code=` where a query or a form has it. */
const NAMES = new RegExp(
  [
    String.raw`${SECRET_NAMES_IN_TEXT}(?:\[\d*\])*["'\`\]]*\s*(?:=>|[=:])\s*`,
    String.raw`(?:authorization|cookie)(["'\`])\s*,\s*(?=\1)`,
    String.raw`(?:(?<=[?&])code|^code(?==[^&\s]*&))=`,
  ].join('|'),
  'gi',
);

function* namedValues(view: DecodedText): Generator<Span> {
  NAMES.lastIndex = 0;
  for (let found = NAMES.exec(view.text); found; found = NAMES.exec(view.text)) {
    const separator = found.index + found[0].trimEnd().length - 1;
    const span = valueSpan(view, { separator, begin: NAMES.lastIndex, isCookie: /^cookie/i.test(found[0]) });
    if (span === undefined) continue;
    yield span;
    NAMES.lastIndex = Math.max(NAMES.lastIndex, span[1]);
  }
}

/** Schemes of addresses whose passwords are typed by hand, so that they may hold an unencoded `/`, `?` or `#`. */
const TYPED_BY_HAND = /(?:amqps?|postgres(?:ql)?):$/i;

/** What stands before the `@` of an address. */
function* userInfo(view: DecodedText): Generator<Span> {
  const { text } = view;
  const slashes = /\/\//g;
  while (slashes.exec(text)) {
    const begin = slashes.lastIndex;
    const before = text.slice(Math.max(0, begin - 22), begin - 2);
    // Doubled slashes within a path, such as `https://host//rest`.
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
function* webhookCodes(view: DecodedText): Generator<Span> {
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

/** What looks like a secret wherever it stands; `looks` says whether it does after all. */
const bare: readonly { shape: RegExp; looks?: (text: string) => boolean }[] = [
  // Not `basic authentication`.
  {
    shape: /(?<=\b(?:bearer|basic)\s{1,4})[\w.~+/=-]{8,}/gi,
    looks: (text) => !/^[a-z]+$/i.test(text) || /[a-z][A-Z]/.test(text),
  },
  // Bitrix24's access and refresh tokens are longer than that; its member ids, UUIDs and trace ids are shorter.
  { shape: /(?<![a-z0-9])[a-z0-9]{40,}/gi, looks: (text) => /\d/.test(text) && /[a-z]/i.test(text) },
  // 32 bytes in base64: a key of TOKEN_KEYS.
  { shape: /(?<![a-z0-9+/])[a-z0-9+/]{43}=/gi },
  // JSON.parse quotes what it was given.
  { shape: /(?<=Unexpected token [^]{1,4}, (?:\.\.\.)?")[^]{1,80}?(?="(?:\.\.\.)? is not valid JSON)/g },
];

function* bareSecrets({ text }: DecodedText): Generator<Span> {
  for (const { shape, looks } of bare) {
    for (const { 0: found, index } of text.matchAll(shape)) {
      if (looks?.(found) ?? true) yield [index, index + found.length];
    }
  }
}

/** Said where there is no secret, and parameters of SQL. */
const NOTHING = /(?:null|undefined|true|false|\$\d+)(?=$|[\s,;)}\]&"'])/y;
const SCHEME = /(?:bearer|basic|negotiate|token)\s+/iy;
const REST_OF_LINE = /[^\r\n]*/y;

/** What is the value of a secret name: without its quotes, up to where the form it is written in ends it. */
function valueSpan(view: DecodedText, { separator, begin, isCookie }: ValueStart): Span | undefined {
  const { text } = view;
  const first = text.charAt(begin);
  if (matchEnd(NOTHING, text, begin) !== undefined) return undefined;
  // An object, whose own names say what is secret; or a list that was redacted before.
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

/** The quote that closes the one at `open`, which is encoded and escaped no more often; the text's end where it is cut. */
function closingQuote(view: DecodedText, open: number): number {
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

function closingBracket(view: DecodedText, open: number): number {
  const { text } = view;
  for (let at = open + 1; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === ']' && view.percentsAt(at) <= view.percentsAt(open)) return at;
    if (character === '"') at = closingQuote(view, at);
  }
  return text.length;
}

const ALWAYS_ENDS = /[\s&"`<>]/;
/** These may belong to a value, unless what follows them looks like its end or like the next name. */
const MAY_END = /[,;)}\]|']/;
const NEXT_NAME = /["']?[\w.-]{1,64}["']?\s{0,4}[=:]/y;

/** The end of a value without quotes; a sign that is encoded more often than `level` belongs to the value. */
function endOfWord(view: DecodedText, begin: number, level: number): number {
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
