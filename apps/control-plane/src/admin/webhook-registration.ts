import {
  BadGatewayException,
  BadRequestException,
  type HttpException,
  Inject,
  Injectable,
} from '@nestjs/common';
import type { WebhookPairRequest } from '@relay/admin-contract';
import { assertCallable, Bitrix24Error, PortalClient, webhookTokens } from '@relay/bitrix24';
import { parseEventName } from '@relay/events';
import { OFFLINE_SIGNAL, Subscriptions, USER_AGENT, WebhookPairs } from '@relay/portals';

/** Injection token of `B24_ALLOW_HOSTS`. */
export const ALLOW_HOSTS = Symbol('AllowHosts');

/** An operator waits for it, at a command line. */
const TIMEOUT_MS = 15_000;

/** A pair of webhooks from an operator. It is tested before it is stored, because no later error would name the mistake. */
@Injectable()
export class WebhookRegistration {
  constructor(
    private readonly pairs: WebhookPairs,
    private readonly subscriptions: Subscriptions,
    @Inject(ALLOW_HOSTS) private readonly allowHosts: readonly string[],
  ) {}

  /**
   * @returns the portal's host, and the events that its outgoing webhook must have: nobody can bind them for it
   * @throws AddressError for an address that must not be called; BadRequestException if it is no webhook of the portal; BadGatewayException
   *   if the portal does not answer
   */
  async register(pair: WebhookPairRequest): Promise<{ host: string; events: string[] }> {
    assertCallable(pair.webhookUrl, this.allowHosts);
    await this.requireWorks(pair.webhookUrl);
    const host = await this.pairs.add(pair);
    return { host, events: await this.eventsWanted() };
  }

  /** By basic names: an outgoing webhook has no suffixed ones. */
  async eventsWanted(): Promise<string[]> {
    // No offline queue reaches a portal without the application.
    const names = (await this.subscriptions.wanted()).filter((name) => name !== OFFLINE_SIGNAL);
    return [...new Set(names.map((name) => parseEventName(name).name))].toSorted();
  }

  private async requireWorks(webhookUrl: string): Promise<void> {
    const client = new PortalClient({
      memberId: 'unknown',
      tokens: webhookTokens(webhookUrl),
      timeoutMs: TIMEOUT_MS,
      allowHosts: this.allowHosts,
      userAgent: USER_AGENT,
    });
    // Neither method needs a permission (api-reference/common/users/profile.md, common/system/scope.md).
    for (const method of ['profile', 'scope']) {
      try {
        await client.call(method, {}, { repeatable: true });
        return;
      } catch (error) {
        if (!(error instanceof Bitrix24Error)) throw error;
        if (error.code !== 'ERROR_METHOD_NOT_FOUND') throw toHttpException(error);
      }
    }
  }
}

function toHttpException({ code }: Bitrix24Error): HttpException {
  return ['NO_AUTH_FOUND', 'INVALID_CREDENTIALS'].includes(code)
    ? new BadRequestException(
        `webhookUrl: the portal does not know this webhook (${code}); copy its address once more`,
      )
    : new BadGatewayException(`webhookUrl: the portal did not answer as it should (${code})`);
}
