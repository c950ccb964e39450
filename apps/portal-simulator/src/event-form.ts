import type { Handler } from './handlers.js';
import { applicationScope, clientEndpoint, serverEndpoint, type Installation } from './installation.js';
import type { Values } from './php.js';
import type { Cause } from './crm/cause.js';
import type { Portal } from './portal.js';
import type { TokenPair, Tokens } from './tokens.js';

export interface PortalEvent {
  name: string;
  data: Values;
  cause: Cause;
  handler: Handler;
}

/**
 * The form that a handler gets (api-reference/events/index.md). An outgoing webhook gets no tokens and
 * nothing about the application; an application gets an access token if a user caused the event.
 */
export function eventForm(portal: Portal, event: PortalEvent, tokens: Tokens, nowMs: number): Values {
  return {
    event: event.name,
    event_handler_id: event.handler.id,
    data: event.data,
    ts: Math.floor(nowMs / 1000),
    auth: authOf(portal, event, tokens, nowMs),
  };
}

function authOf(portal: Portal, { handler, cause }: PortalEvent, tokens: Tokens, nowMs: number): Values {
  const { owner } = handler;
  if (owner.kind === 'outgoing-webhook') {
    return { ...addressOf(portal, owner.baseUrl), application_token: owner.applicationToken };
  }
  const { installation, authType } = owner;
  const userId = authType > 0 ? authType : cause === 'robot' ? 0 : cause.userId;
  const token = userId > 0 ? tokens.forEvent(installation, userId, nowMs) : undefined;
  return {
    ...(token && {
      access_token: token.token,
      expires: Math.floor(token.expiresAtMs / 1000),
      expires_in: Math.floor((token.expiresAtMs - nowMs) / 1000),
      user_id: userId,
    }),
    ...addressOf(portal, installation.baseUrl),
    scope: applicationScope.join(' '),
    status: 'L',
    application_token: installation.applicationToken,
  };
}

/**
 * `auth` of ONAPPINSTALL, of ONAPPUPDATE and of the installation callback: the only events with a refresh
 * token.
 */
export function installationAuth(installation: Installation, pair: TokenPair): Values {
  return {
    ...addressOf(installation.portal, installation.baseUrl),
    scope: applicationScope.join(' '),
    access_token: pair.access.token,
    refresh_token: pair.refreshToken,
    expires_in: installation.accessTokenSeconds,
    status: 'L',
    application_token: installation.applicationToken,
  };
}

/** `auth` of ONAPPUNINSTALL: the application token is its only proof. */
export function uninstallationAuth(installation: Installation): Values {
  return {
    ...addressOf(installation.portal, installation.baseUrl),
    application_token: installation.applicationToken,
  };
}

function addressOf({ identity }: Portal, baseUrl: string): Values {
  return {
    domain: identity.domain,
    server_endpoint: serverEndpoint(baseUrl),
    client_endpoint: clientEndpoint(baseUrl, identity.name),
    member_id: identity.memberId,
  };
}
