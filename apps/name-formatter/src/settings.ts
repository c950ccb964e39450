import type { PortalSettings } from '@relay/portals';
import { z } from 'zod';
import type { NameOptions } from './format-name.js';

/**
 * Settings of a portal: `relay portals set <member_id> name-formatter <json>`. The language overrides that of the install:
 * Dutch and Azerbaijani portals in the cloud run in English or Russian, and a webhook pair has no language.
 */
export const nameSettings = z.strictObject({
  language: z.string().optional(),
  particles: z.enum(['lower', 'capital']).optional(),
});

/** @throws PortalError DIRECTORY_UNAVAILABLE */
export async function nameOptionsOf(
  settings: Pick<PortalSettings, 'of'>,
  memberId: string,
): Promise<NameOptions> {
  const { language, own } = await settings.of(memberId, 'name-formatter', nameSettings);
  return { language: own.language ?? language, particles: own.particles };
}
