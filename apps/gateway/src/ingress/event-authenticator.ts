import { Inject, Injectable } from '@nestjs/common';
import { type EventEnvelope, type FormTree, installOf } from '@relay/events';
import { Installer } from '@relay/installs';
import {
  hasApplicationToken,
  type KnownPortal,
  PortalCache,
  sourceOfPortal,
  WebhookPairs,
} from '@relay/portals';
import { RequestRejectedError } from '../http/request-rejected.filter.js';
import { Reauthorization } from './reauthorization.js';

/** Events that can contain an unknown application token. */
const BRING_TOKENS = new Set(['ONAPPINSTALL', 'ONAPPUPDATE']);

/**
 * Only the application's own token authenticates these. The creator of an outgoing webhook knows its token, and must not
 * be able to remove the application and all of its data with it.
 */
const ABOUT_APPLICATION = new Set(['ONAPPINSTALL', 'ONAPPUNINSTALL', 'ONAPPUPDATE']);

/**
 * The application token is the only proof of an event (api-reference/events/safe-event-handlers.md). An event with a new
 * token is verified like an install: by its refresh token, at the OAuth server.
 */
@Injectable()
export class EventAuthenticator {
  constructor(
    @Inject(PortalCache) private readonly portalCache: Pick<PortalCache, 'find' | 'findCached'>,
    @Inject(WebhookPairs) private readonly webhookPairs: Pick<WebhookPairs, 'claim'>,
    @Inject(Installer) private readonly installer: Pick<Installer, 'install'>,
    @Inject(Reauthorization) private readonly reauthorization: Pick<Reauthorization, 'enqueue'>,
  ) {}

  /**
   * @returns undefined when the cached portal proves the event, as it does for nearly all: then nothing is awaited
   * @throws RequestRejectedError 401 or 503, PortalStoreUnavailableError
   */
  authenticate(envelope: EventEnvelope, form: FormTree): Promise<void> | undefined {
    const { memberId, name, credentials } = envelope;
    const cached = this.portalCache.findCached(memberId);
    const isAuthorized = cached !== undefined && cached.state !== 'needs-reauth';
    if (isAuthorized && isProved(cached, name, credentials.applicationToken)) return undefined;
    return this.authenticateByDatabase(envelope, form);
  }

  private async authenticateByDatabase(envelope: EventEnvelope, form: FormTree): Promise<void> {
    const { memberId, name, credentials } = envelope;
    const { refreshToken } = credentials;
    try {
      const portal = await this.findByToken(envelope);
      if (portal?.state === 'needs-reauth' && refreshToken !== undefined) {
        this.reauthorization.enqueue({ memberId, refreshToken, oauthHost: credentials.oauthHost });
      }
    } catch (error) {
      const canInstall = BRING_TOKENS.has(name) && refreshToken !== undefined;
      if (!(error instanceof RequestRejectedError) || !canInstall) throw error;
      await this.installer.install(installOf(envelope, form), sourceOfPortal(memberId));
    }
  }

  /**
   * An event that does not match the cached portal causes one read of the database: the install may be a second old, or
   * this is the first event of a portal that is registered by webhooks.
   * @returns the portal before the event; undefined if the event registered it
   */
  private async findByToken(envelope: EventEnvelope): Promise<KnownPortal | undefined> {
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

/** An uninstalled portal may only repeat its uninstall. */
function isProved(portal: KnownPortal | undefined, name: string, applicationToken: string): boolean {
  if (portal === undefined) return false;
  const tokenHashes = ABOUT_APPLICATION.has(name) ? portal.appTokenHashes : portal.tokenHashes;
  if (!hasApplicationToken({ tokenHashes }, applicationToken)) return false;
  return portal.state !== 'uninstalled' || name === 'ONAPPUNINSTALL';
}
