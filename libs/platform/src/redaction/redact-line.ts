import { maySayASecret, redactText } from './redact-text.js';
import { redactValue } from './redact-value.js';

/** A line of the log, which is one JSON object and a line break, without secrets; the same text where it has none. */
export function redactLine(line: string): string {
  if (!maySayASecret(line)) return line;
  try {
    return `${JSON.stringify(redactValue(JSON.parse(line)))}\n`;
  } catch {
    return `${redactText(line.trimEnd())}\n`;
  }
}
