import { Inject, Injectable } from '@nestjs/common';
import { Bitrix24Error } from '@relay/bitrix24';
import { boundAt, has } from '@relay/installs';
import { PortalClients } from '@relay/portals';

/** Injection token of the address that handlers are bound to. */
export const HANDLER_URL = Symbol('HandlerUrl');

const NAME = 'ONAPPINSTALL';

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
    if (has(await boundAt(client), NAME, this.handlerUrl)) return;
    try {
      await client.call('event.bind', { event: NAME, handler: this.handlerUrl });
    } catch (error) {
      // Another request for the same page binds it, or has bound it.
      if (!(error instanceof Bitrix24Error) || error.code !== 'ERROR_CORE') throw error;
      if (!has(await boundAt(client), NAME, this.handlerUrl)) throw error;
    }
  }
}
