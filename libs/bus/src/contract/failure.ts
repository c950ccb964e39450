import { printable, redactText } from '@relay/platform';
import { z } from 'zod';
import type { Failure } from './event-bus.js';

const MAX_MESSAGE = 500;

const shape = z.object({
  code: z
    .union([z.string().min(1).max(100), z.number()])
    .optional()
    .catch(undefined),
  name: z.string().min(1).max(100).optional().catch(undefined),
  message: z.string().catch(''),
});

/**
 * The part of an error that may be stored: its code (else its name) and its message, without secrets, on one line, and without
 * characters that steer what shows it: a portal's answer has both.
 */
export function toFailure(error: unknown): Failure {
  const parsed = shape.safeParse(error);
  if (!parsed.success) return { code: 'UNKNOWN', message: redact(textOf(error)) };
  const { code, name, message } = parsed.data;
  return { code: printable(redactText(String(code ?? name ?? 'UNKNOWN'))), message: redact(message) };
}

/** Anything can be thrown, also what cannot be written as a text. */
function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return Object.prototype.toString.call(thrown);
  }
}

/**
 * Stricter than log redaction: a long random word without a label may be an application token as well as a member id,
 * and a dead letter needs neither.
 */
export function redact(text: string): string {
  const line = redactText(text)
    .replace(/[A-Za-z0-9_+-]{32,}/g, (word) => (/\d/.test(word) ? '[redacted]' : word))
    .replace(/\s+/g, ' ')
    .trim();
  return printable(line.slice(0, MAX_MESSAGE));
}
