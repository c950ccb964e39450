import type { DecodedText } from './decoded-text.js';
import { SECRET_NAMES_IN_TEXT } from './secret-names.js';
import { type Span, valueSpan } from './value-span.js';

/** Where secrets stand, as far as their surroundings or their looks show. In no order, and they may overlap. Linear. */
export function secretSpans(view: DecodedText): Span[] {
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
