import { textOf } from '../php.js';
import type { Portal } from '../portal.js';
import type { Tokens } from '../tokens.js';
import { argument, type Caller } from './method.js';
import { RestError } from './rest-error.js';
import type { RestRequest } from './rest-service.js';

/** Who calls: known by an access token, or by an incoming webhook's secret. @throws RestError */
export function authorize(
  portal: Portal,
  { params, webhook }: RestRequest,
  tokens: Tokens,
  nowMs: number,
): Caller {
  if (webhook) {
    const userId = portal.webhooks.get(webhook.secret);
    if (userId === undefined || String(userId) !== webhook.userId) throw noAuthFound();
    return { kind: 'webhook', secret: webhook.secret, userId };
  }
  const token = textOf(argument(params, 'auth')) ?? '';
  if (token === '') throw noAuthFound();
  const access = tokens.find(token);
  if (!access || access.installation !== portal.installation) {
    throw new RestError('invalid_token', 'Unable to get application by token', 401);
  }
  if (nowMs >= access.expiresAtMs) {
    throw new RestError('expired_token', 'The access token provided has expired.', 401);
  }
  return { kind: 'application', access };
}

function noAuthFound(): RestError {
  return new RestError('NO_AUTH_FOUND', 'Wrong authorization data', 401);
}
