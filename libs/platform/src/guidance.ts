import { z } from 'zod';

const guidance = z.object({
  recovery: z.enum(['retry', 'wait', 'reauthorize', 'never']).catch('retry'),
  retryAfterMs: z.number().nonnegative().optional().catch(undefined),
});

/** What an error says of how to go on: the classification of a portal's error, in the one form that all readers take. */
export type Guidance = z.output<typeof guidance>;

/**
 * Reads it off the error's fields. `Bitrix24Error`, `OAuthError` and `PortalError` have them, and any error of a handler
 * may; one that says nothing about itself may pass.
 */
export function guidanceOf(error: unknown): Guidance {
  const parsed = guidance.safeParse(error);
  return parsed.success ? parsed.data : { recovery: 'retry' };
}
