import { Inject, Injectable } from '@nestjs/common';
import type { EventEnvelope } from '@relay/events';
import { hasApplicationToken, PortalCache, WebhookPairs, type KnownPortal } from '@relay/portals';
import { RequestRejectedError } from '../http/request-rejected-error.js';

/** The application token is the only proof that an event has (api-reference/events/safe-event-handlers.md). */
@Injectable()
export class EventVerifier {
  constructor(
    @Inject(PortalCache) private readonly portalCache: Pick<PortalCache, 'find'>,
    @Inject(WebhookPairs) private readonly webhookPairs: Pick<WebhookPairs, 'claim'>,
  ) {}

  /**
   * Whoever fails by what the cache knows gets one look at the database, since the install may be a second old, and
   * may be the first event of a portal that was registered by its webhooks.
   * @returns the portal, as it was when the event came; undefined when it was registered by it
   * @throws Refusal 401; PortalStoreUnavailableError
   */
  async verify(envelope: EventEnvelope): Promise<KnownPortal | undefined> {
    const { memberId, name, credentials } = envelope;
    const { applicationToken } = credentials;
    const cached = await this.portalCache.find(memberId);
    if (isProved(cached, name, applicationToken)) return cached;
    const fresh = await this.portalCache.find(memberId, { fresh: true });
    if (isProved(fresh, name, applicationToken)) return fresh;
    const mayBeWebhook = !ABOUT_APPLICATION.has(name);
    if (mayBeWebhook && (await this.webhookPairs.claim(memberId, applicationToken))) return undefined;
    throw new RequestRejectedError(401, 'not-authorized');
  }
}

/**
 * What becomes of the application is told by its own token alone: that of an outgoing webhook is known to whoever made
 * the webhook, who must not remove the application by it, and all of its data.
 */
const ABOUT_APPLICATION = new Set(['ONAPPINSTALL', 'ONAPPUNINSTALL', 'ONAPPUPDATE']);

/** A portal that is gone has nothing more to say than, once again, that it is gone. */
function isProved(portal: KnownPortal | undefined, name: string, applicationToken: string): boolean {
  if (portal === undefined) return false;
  const tokenHashes = ABOUT_APPLICATION.has(name) ? portal.appTokenHashes : portal.tokenHashes;
  if (!hasApplicationToken({ tokenHashes }, applicationToken)) return false;
  return portal.state !== 'uninstalled' || name === 'ONAPPUNINSTALL';
}
