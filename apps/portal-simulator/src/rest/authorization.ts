import { accessTokenOf } from '../http/http.js';
import type { Tokens } from '../oauth/tokens.js';
import type { Portal } from '../portal/portal.js';
import { systemErrors } from '../protocol/rest-error.js';
import type { Caller } from './method.js';
import type { RestRequest } from './request.js';

/** Who calls: known by an access token, or by an incoming webhook's secret. @throws RestError */
export function authorize(
  portal: Portal,
  { params, webhook, bearer }: RestRequest,
  tokens: Tokens,
  nowMs: number,
): Caller {
  if (webhook) {
    const userId = portal.webhooks.get(webhook.secret);
    if (userId === undefined || String(userId) !== webhook.userId) throw systemErrors.webhook;
    return { kind: 'webhook', secret: webhook.secret, userId };
  }
  const token = accessTokenOf(params, bearer);
  if (token === '') throw systemErrors.noAuth;
  const access = tokens.find(token);
  if (!access || access.installation !== portal.installation) throw systemErrors.unknownToken;
  if (nowMs >= access.expiresAtMs) throw systemErrors.expired;
  return { kind: 'application', access };
}
