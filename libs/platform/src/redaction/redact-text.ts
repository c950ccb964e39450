import { DecodedText } from './decoded-text.js';
import { PLACEHOLDER } from './secret-names.js';
import { secretSpans } from './secret-spans.js';

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
