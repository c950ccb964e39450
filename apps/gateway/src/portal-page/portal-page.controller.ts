import { Body, Controller, HttpCode, Post, Req, Res } from '@nestjs/common';
import { decodeForm, type InstallClaim, type PageFrame, parseFrame, parsePage } from '@relay/events';
import { Installer, isAuthorized, knowsToken } from '@relay/installs';
import { EventBindings, type KnownPortal, PortalCache, sourceOfPage, Subscriptions } from '@relay/portals';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RequestRejectedError } from '../http/request-rejected.filter.js';
import { ancestorsOf, FramedPage } from './framed-page.js';
import type { Page } from './html.js';
import { answerWithPage, queryOf } from './page-request.js';
import { anonymousText, type ConsumerEvents, statusText } from './page-texts.js';

/**
 * The application's page. It shows the state of the portal, and repairs it if possible: each opening brings a token pair
 * of the user who opens it (settings/oauth/simple-way.md).
 */
@Controller('b24/app')
export class PortalPageController {
  constructor(
    private readonly portalCache: PortalCache,
    private readonly installer: Installer,
    private readonly subscriptions: Subscriptions,
    private readonly bindings: EventBindings,
    private readonly framedPage: FramedPage,
  ) {}

  @Post()
  @HttpCode(200)
  async open(
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string> {
    return answerWithPage(reply, () => {
      if (!(body instanceof Uint8Array)) throw new RequestRejectedError(415, 'not-a-form');
      const query = queryOf(request);
      return this.pageFor(parsePage(decodeForm(body), query), request.ip, parseFrame(query));
    });
  }

  /** @param address of the client. @throws RequestRejectedError, PortalStoreUnavailableError */
  private async pageFor(claim: InstallClaim, address: string, frame: PageFrame): Promise<Page> {
    const { memberId } = claim;
    const portal = await this.portalCache.find(memberId, { fresh: true });
    // A token request for each opening would get the application blocked (settings/oauth/auto-renewal.md).
    if (portal !== undefined && isAuthorized(portal.state)) {
      if (claim.applicationToken === undefined) return this.showAnonymous(portal, frame);
      if (knowsToken(portal, claim.applicationToken)) return this.show(portal, frame);
    }
    await this.installer.authorize(claim, sourceOfPage(address));
    const refreshed = await this.portalCache.find(memberId, { fresh: true });
    if (refreshed === undefined) throw new RequestRejectedError(503, 'not-finished');
    return this.show(refreshed, frame);
  }

  /** Nothing proves who asks: only a frame of the portal itself gets the script, and its address is not told. */
  private showAnonymous(portal: KnownPortal, { language, origin }: PageFrame): Page {
    const ancestors = origin === new URL(portal.clientEndpoint).origin ? [origin] : [];
    return this.framedPage.render({ kind: 'app', ...anonymousText(), language, ancestors });
  }

  private async show(portal: KnownPortal, frame: PageFrame): Promise<Page> {
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
    return this.framedPage.render({
      kind: 'app',
      ...statusText(portal, consumers),
      language: frame.language ?? portal.language ?? undefined,
      ancestors: ancestorsOf(portal, frame),
    });
  }
}
