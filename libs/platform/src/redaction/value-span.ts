import type { DecodedText } from './decoded-text.js';
import { PLACEHOLDER } from './secret-names.js';

/** From the first character to before the last one, in the decoded text. */
export type Span = readonly [from: number, to: number];

export interface ValueStart {
  /** The `=` or `:` after the name. */
  separator: number;
  /** The first character after it that is no space. */
  begin: number;
  /** Cookies are several, divided by `; `. */
  isCookie: boolean;
}

/** Said where there is no secret, and parameters of SQL. */
const NOTHING = /(?:null|undefined|true|false|\$\d+)(?=$|[\s,;)}\]&"'])/y;
const SCHEME = /(?:bearer|basic|negotiate|token)\s+/iy;
const REST_OF_LINE = /[^\r\n]*/y;

/** What is the value of a secret name: without its quotes, up to where the form it is written in ends it. */
export function valueSpan(view: DecodedText, { separator, begin, isCookie }: ValueStart): Span | undefined {
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
