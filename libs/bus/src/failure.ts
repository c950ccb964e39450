import { z } from 'zod';
import type { Failure } from './event-bus.js';

const longestMessage = 500;

const shape = z.object({
  code: z
    .union([z.string().min(1).max(100), z.number()])
    .optional()
    .catch(undefined),
  name: z.string().min(1).max(100).optional().catch(undefined),
  message: z.string().catch(''),
});

/** What may be stored of an error: its code (else its name) and its message without secrets, on one line. */
export function toFailure(error: unknown): Failure {
  const parsed = shape.safeParse(error);
  if (!parsed.success) return { code: 'UNKNOWN', message: redact(String(error)) };
  const { code, name, message } = parsed.data;
  return { code: String(code ?? name ?? 'UNKNOWN'), message: redact(message) };
}

/**
 * Errors of the network and of libraries quote addresses and parameters, and those carry secrets: the path of an
 * incoming webhook, a user and password before a host, tokens in a query or a form, anything long and random.
 */
export function redact(text: string): string {
  return text
    .slice(0, 10 * longestMessage)
    .replace(/\/\/[^\s/@]+@/g, '//[secret]@')
    .replace(/(\/rest\/+\d+\/+)[^\s/?#]+/gi, '$1[secret]')
    .replace(/([?&]code=)[^\s&]+/gi, '$1[secret]')
    .replace(
      /(["']?\b(?:auth|\w*token|\w*secret|password|auth_id|refresh_id)\b["']?\s*[=:]\s*["']?)[^\s"'&,;}]+/gi,
      '$1[secret]',
    )
    .replace(/[A-Za-z0-9_+-]{32,}/g, '[secret]')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, longestMessage);
}
