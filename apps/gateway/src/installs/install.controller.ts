import { Body, Controller, HttpCode, Inject, Injectable, Post, Req, Res } from '@nestjs/common';
import { Bitrix24Error, hasHandler, listHandlers } from '@relay/bitrix24';
import {
  decodeForm,
  type InstallClaim,
  isPage,
  isUserReady,
  type PageFrame,
  parseFrame,
  parseInstall,
  parsePage,
} from '@relay/events';
import { Installer } from '@relay/installs';
import { PortalCache, PortalClients, sourceOfPage, sourceOfPortal } from '@relay/portals';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { EventIngress } from '../ingress/event-ingress.js';
import { RequestRejectedError } from '../http/request-rejected.filter.js';
import { ancestorsOf, FramedPage } from '../portal-page/framed-page.js';
import type { Page } from '../portal-page/html.js';
import { answerWithPage, queryOf } from '../portal-page/page-request.js';
import { installText } from '../portal-page/page-texts.js';

/** Injection token of the address that handlers are bound to. */
export const HANDLER_URL = Symbol('HandlerUrl');

const INSTALL_EVENT = 'ONAPPINSTALL';

/**
 * A page of an older portal sends no application token, without which no event is trusted. ONAPPINSTALL contains it,
 * with its own refresh token, as soon as the page has ended the installation; the page binds its handler
 * (api-reference/common/events/on-app-install.md).
 */
@Injectable()
export class InstallEvent {
  constructor(
    private readonly clients: PortalClients,
    @Inject(HANDLER_URL) private readonly handlerUrl: string,
  ) {}

  /** @throws Bitrix24Error, PortalError */
  async bind(memberId: string): Promise<void> {
    const client = this.clients.for(memberId);
    if (hasHandler(await listHandlers(client), INSTALL_EVENT, this.handlerUrl)) return;
    try {
      await client.call('event.bind', { event: INSTALL_EVENT, handler: this.handlerUrl });
    } catch (error) {
      // Another request for the same page binds it, or has bound it.
      if (!(error instanceof Bitrix24Error) || error.code !== 'ERROR_CORE') throw error;
      if (!hasHandler(await listHandlers(client), INSTALL_EVENT, this.handlerUrl)) throw error;
    }
  }
}

/** The install in any form: ONAPPINSTALL, the callback, the page. */
@Controller('b24/install')
export class InstallController {
  constructor(
    private readonly installer: Installer,
    private readonly installEvent: InstallEvent,
    private readonly ingress: EventIngress,
    private readonly portalCache: PortalCache,
    private readonly framedPage: FramedPage,
  ) {}

  @Post()
  @HttpCode(200)
  async install(
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string | undefined> {
    if (!(body instanceof Uint8Array)) throw new RequestRejectedError(415, 'not-a-form');
    const form = decodeForm(body);
    if (isPage(form)) {
      return answerWithPage(reply, () => {
        const query = queryOf(request);
        return this.openPage(parsePage(form, query), request.ip, parseFrame(query));
      });
    }
    if (isUserReady(form)) {
      await this.ingress.accept(form);
      return undefined;
    }
    const claim = parseInstall(form);
    await this.installer.install(claim, sourceOfPortal(claim.memberId));
    return undefined;
  }

  private async openPage(claim: InstallClaim, address: string, frame: PageFrame): Promise<Page> {
    const decision = await this.installer.install(claim, sourceOfPage(address));
    // Before the page ends the installation, because the event is sent then.
    if (claim.applicationToken === undefined) await this.installEvent.bind(claim.memberId);
    const portal = await this.portalCache.find(claim.memberId, { fresh: true });
    if (portal === undefined) throw new RequestRejectedError(503, 'not-finished');
    return this.framedPage.render({
      kind: 'install',
      ...installText({ needsAdministrator: decision === 'install-without-token' }),
      language: frame.language ?? portal.language ?? undefined,
      ancestors: ancestorsOf(portal, frame),
    });
  }
}
