import { z } from 'zod';

/**
 * Settings of a portal: `relay portals set <member_id> name-formatter <json>`. The language overrides that of the install:
 * Dutch and Azerbaijani portals in the cloud run in English or Russian, and a webhook pair has no language.
 */
export const nameSettings = z.strictObject({
  language: z.string().optional(),
  particles: z.enum(['lower', 'capital']).optional(),
  firstWord: z.enum(['asWritten', 'capital']).optional(),
});
