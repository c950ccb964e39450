import { z } from 'zod';

const guidance = z.object({
  recovery: z.enum(['retry', 'wait', 'reauthorize', 'never']).catch('retry'),
  retryAfterMs: z.number().nonnegative().optional().catch(undefined),
});

/** What an error says about retries: the classification of a portal's error, in one form for all readers. */
export type Guidance = z.output<typeof guidance>;

/**
 * Reads the guidance from the error's fields. `Bitrix24Error`, `OAuthError` and `PortalError` have them, and any error
 * of a handler may; an error without them counts as transient.
 */
export function guidanceOf(error: unknown): Guidance {
  const parsed = guidance.safeParse(error);
  return parsed.success ? parsed.data : { recovery: 'retry' };
}
