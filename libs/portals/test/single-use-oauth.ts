import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import type { TokenGrant } from '@relay/bitrix24';
import { portOf } from './port-of.js';

/** An OAuth server on a real port whose refresh tokens work once, as Bitrix24's do. */
export class SingleUseOAuth {
  /** How often each member's pair was exchanged. */
  readonly exchanges = new Map<string, number>();
  /** Runs during a valid token exchange, before its response. */
  beforeAnswer: () => Promise<void> | void = () => undefined;
  /** Overrides parts of the answer. */
  answer: Record<string, string> = {};
  /** Rejects every exchange with this error, and uses nothing up. */
  rejection: string | undefined;
  rejected = 0;

  private readonly valid = new Map<string, string>();
  private readonly server: Server;

  private constructor() {
    this.server = createServer((request, response) => void this.respond(request, response));
  }

  static async start(): Promise<SingleUseOAuth> {
    const oauth = new SingleUseOAuth();
    await new Promise<void>((resolve) => {
      oauth.server.listen(0, '127.0.0.1', resolve);
    });
    return oauth;
  }

  get url(): string {
    return `http://127.0.0.1:${portOf(this.server)}`;
  }

  /** A first pair, as an install brings it. */
  grant(memberId: string): TokenGrant {
    const { access_token: accessToken, refresh_token: refreshToken } = this.issue(memberId);
    return {
      memberId,
      clientEndpoint: 'https://one.bitrix24.com/rest/',
      accessToken,
      refreshToken,
      expiresAt: Date.now() + 3_600_000,
      scope: ['crm'],
      status: 'L',
      oauthHost: new URL(this.url).host,
    };
  }

  /** Answers nothing until the function that it returns is called. */
  hold(): () => void {
    const released = new AbortController();
    this.beforeAnswer = async () => {
      if (!released.signal.aborted) await once(released.signal, 'abort');
    };
    return () => released.abort();
  }

  /** Harmless when repeated. */
  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => {
      this.server.close(resolve);
    });
  }

  private async respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const form = new URLSearchParams(await text(request));
    const body = await this.exchange(form.get('refresh_token') ?? '');
    response.writeHead('error' in body ? 400 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  }

  private issue(memberId: string): { access_token: string; refresh_token: string } {
    const pair = {
      access_token: `access-${randomBytes(16).toString('hex')}`,
      refresh_token: `refresh-${randomBytes(16).toString('hex')}`,
    };
    this.valid.set(pair.refresh_token, memberId);
    return pair;
  }

  private async exchange(refreshToken: string): Promise<Record<string, unknown>> {
    if (this.rejection !== undefined) return { error: this.rejection };
    const memberId = this.valid.get(refreshToken);
    if (memberId === undefined) {
      this.rejected += 1;
      return { error: 'invalid_grant', error_description: 'Invalid grant' };
    }
    this.valid.delete(refreshToken);
    this.exchanges.set(memberId, (this.exchanges.get(memberId) ?? 0) + 1);
    await this.beforeAnswer();
    return {
      ...this.issue(memberId),
      expires_in: 3600,
      domain: 'oauth.bitrix.info',
      client_endpoint: 'https://one.bitrix24.com/rest/',
      member_id: memberId,
      scope: 'crm',
      status: 'L',
      ...this.answer,
    };
  }
}
