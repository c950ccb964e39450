import { escapeUnprintable } from '../printable.js';
import { mayContainSecret, redactText } from './redact-text.js';
import { redactValue } from './redact-value.js';

/**
 * A line of the log, which is one JSON object and a line break, without secrets and without what steers a terminal (as
 * escapes, for JSON itself escapes but a few); the same text where it has neither.
 */
export function redactLine(line: string): string {
  return escapeUnprintable(withoutSecrets(line));
}

function withoutSecrets(line: string): string {
  if (!mayContainSecret(line)) return line;
  try {
    return `${JSON.stringify(redactValue(JSON.parse(line)))}\n`;
  } catch {
    return `${redactText(line.trimEnd())}\n`;
  }
}
