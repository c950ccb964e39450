import { type NameOptions, nameSettings } from '@relay/names';
import type { PortalSettings } from '@relay/portals';

/** @throws PortalError DIRECTORY_UNAVAILABLE */
export async function nameOptionsOf(
  settings: Pick<PortalSettings, 'of'>,
  memberId: string,
): Promise<NameOptions> {
  const { language, own } = await settings.of(memberId, 'name-formatter', nameSettings);
  return { ...own, language: own.language ?? language };
}
