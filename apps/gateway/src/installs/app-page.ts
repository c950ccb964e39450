import { Injectable } from '@nestjs/common';
import type { InstallClaim } from '@relay/events';
import { Installer, knowsToken, sourceOfPage, works } from '@relay/installs';
import { EventBindings, PortalCache, Subscriptions, type KnownPortal } from '@relay/portals';
import { RequestRejectedError } from '../http/request-rejected.filter.js';
import type { Page } from './pages/html.js';
import { anonymousPage, type ConsumerEvents, statusPage } from './pages/pages.js';

/**
 * The application's page. It shows the state of the portal, and repairs it if possible: each opening brings a token pair
 * of the user who opens it (settings/oauth/simple-way.md).
 */
@Injectable()
export class AppPage {
  constructor(
    private readonly portalCache: PortalCache,
    private readonly installer: Installer,
    private readonly subscriptions: Subscriptions,
    private readonly bindings: EventBindings,
  ) {}

  /** @param address of the client. @throws RequestRejectedError, PortalStoreUnavailableError */
  async open(claim: InstallClaim, address: string): Promise<Page> {
    const { memberId } = claim;
    const portal = await this.portalCache.find(memberId, { fresh: true });
    // A token request for each opening would get the application blocked (settings/oauth/auto-renewal.md).
    if (portal !== undefined && works(portal.state)) {
      if (claim.applicationToken === undefined) return anonymousPage();
      if (knowsToken(portal, claim.applicationToken)) return this.show(portal);
    }
    await this.installer.authorize(claim, sourceOfPage(address));
    const refreshed = await this.portalCache.find(memberId, { fresh: true });
    if (refreshed === undefined) throw new RequestRejectedError(503, 'not-finished');
    return this.show(refreshed);
  }

  private async show(portal: KnownPortal): Promise<Page> {
    const [wanted, bindings] = await Promise.all([
      this.subscriptions.byConsumer(),
      this.bindings.of(portal.memberId),
    ]);
    const isBound = (name: string): boolean => bindings.get(name)?.state === 'bound';
    const consumers = [...wanted].map(([consumer, names]): ConsumerEvents => ({
      consumer,
      wanted: names.length,
      bound: names.filter(isBound).length,
    }));
    return statusPage(portal, consumers);
  }
}
