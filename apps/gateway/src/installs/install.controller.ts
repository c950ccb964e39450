import { Body, Controller, HttpCode, Post, Req, Res } from '@nestjs/common';
import { decodeForm, type InstallClaim, isPage, isUserReady, parseInstall, parsePage } from '@relay/events';
import { Installer, sourceOfPage, sourceOfPortal } from '@relay/installs';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { EventIngress } from '../ingress/event-ingress.js';
import { RequestRejectedError } from '../http/request-rejected.filter.js';
import { InstallEvent } from './install-event.js';
import type { Page } from './pages/html.js';
import { installPage } from './pages/install-page.js';
import { answerWithPage, queryOf } from './pages/page-request.js';

/** The install in any form: ONAPPINSTALL, the callback, the page. */
@Controller('b24/install')
export class InstallController {
  constructor(
    private readonly installer: Installer,
    private readonly installEvent: InstallEvent,
    private readonly ingress: EventIngress,
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
    if (isPage(form))
      return answerWithPage(reply, () => this.openPage(parsePage(form, queryOf(request)), request.ip));
    if (isUserReady(form)) {
      await this.ingress.accept(form);
      return undefined;
    }
    const claim = parseInstall(form);
    await this.installer.install(claim, sourceOfPortal(claim.memberId));
    return undefined;
  }

  private async openPage(claim: InstallClaim, address: string): Promise<Page> {
    const decision = await this.installer.install(claim, sourceOfPage(address));
    // Before the page ends the installation, because the event is sent then.
    if (claim.applicationToken === undefined) await this.installEvent.bind(claim.memberId);
    return installPage({ needsAdministrator: decision === 'install-without-token' });
  }
}
