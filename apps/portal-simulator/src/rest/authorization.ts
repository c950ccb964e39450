import { textOf, type Values } from '../php.js';
import type { Portal } from '../portal.js';
import type { Tokens } from '../tokens.js';
import { argument, type Caller } from './method.js';
import { systemErrors } from './rest-error.js';
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

/** The parameters under which a token comes, if not in a header (settings/how-to-call-rest-api/). */
const TOKEN_PARAMETERS = ['auth', 'access_token'];

/** Empty: there is none. `bearer`: of the header `Authorization`. */
export function accessTokenOf(params: Values, bearer: string | undefined): string {
  const [given] = TOKEN_PARAMETERS.flatMap((name) => textOf(argument(params, name)) ?? []);
  return bearer ?? given ?? '';
}

export function withoutTokens(params: Values): Values {
  const rest = Object.entries(params).filter(([name]) => !TOKEN_PARAMETERS.includes(name.toLowerCase()));
  return Object.fromEntries(rest);
}
