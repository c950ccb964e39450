import type { Actor } from '../crm/users.js';
import {
  clientEndpoint,
  serverEndpoint,
  type Installation,
  type InstalledPortal,
} from '../oauth/installation.js';
import type { TokenPair, Tokens } from '../oauth/tokens.js';
import type { Values } from '../protocol/php.js';
import { OFFLINE_SIGNAL } from './event-names.js';
import type { Handler } from './handlers.js';

export interface PortalEvent {
  name: string;
  data: Values;
  actor: Actor;
  handler: Handler;
}

/**
 * The form that a handler gets (api-reference/events/index.md). An outgoing webhook gets no tokens and no scope; an
 * application gets an access token, its lifetime and its scope if a user caused the event.
 */
export function eventForm(
  portal: InstalledPortal,
  event: PortalEvent,
  tokens: Tokens,
  nowMs: number,
): Values {
  const isSignal = event.name === OFFLINE_SIGNAL;
  return {
    event: event.name,
    // ONOFFLINEEVENT has neither (api-reference/events/on-offline-event.md).
    ...(!isSignal && { event_handler_id: event.handler.id, data: event.data }),
    ts: Math.floor(nowMs / 1000),
    auth: authOf(portal, event, tokens, nowMs),
  };
}

function authOf(
  portal: InstalledPortal,
  { name, handler, actor }: PortalEvent,
  tokens: Tokens,
  nowMs: number,
): Values {
  const { owner } = handler;
  if (owner.kind === 'outgoing-webhook') {
    return { ...addressOf(portal, owner.baseUrl), application_token: owner.applicationToken };
  }
  const { installation, authType } = owner;
  const userId = authType > 0 ? authType : actor === 'robot' ? 0 : actor.userId;
  return {
    ...(userId > 0 && userAuth(name, installation, userId, tokens, nowMs)),
    ...addressOf(portal, installation.baseUrl),
    application_token: installation.applicationToken,
  };
}

function userAuth(
  event: string,
  installation: Installation,
  userId: number,
  tokens: Tokens,
  nowMs: number,
): Values {
  // The `rest` module sends a refresh token with these, as with the events of an installation.
  const pair =
    event === 'ONAPPTEST' || event === OFFLINE_SIGNAL ? tokens.issue(installation, userId, nowMs) : undefined;
  const { token, expiresAtMs } = pair?.access ?? tokens.forEvent(installation, userId, nowMs);
  return {
    access_token: token,
    ...(pair && { refresh_token: pair.refreshToken }),
    expires: Math.floor(expiresAtMs / 1000),
    expires_in: Math.floor((expiresAtMs - nowMs) / 1000),
    scope: installation.scope.join(' '),
    status: 'L',
    user_id: userId,
  };
}

/** `auth` of ONAPPINSTALL, of ONAPPUPDATE and of the installation callback. */
export function installationAuth(installation: Installation, pair: TokenPair): Values {
  return {
    ...addressOf(installation.portal, installation.baseUrl),
    scope: installation.scope.join(' '),
    access_token: pair.access.token,
    refresh_token: pair.refreshToken,
    expires_in: installation.accessTokenSeconds,
    status: 'L',
    application_token: installation.applicationToken,
  };
}

/** `auth` of ONAPPUNINSTALL: the application token is the only proof of its sender. */
export function uninstallationAuth(installation: Installation): Values {
  return {
    ...addressOf(installation.portal, installation.baseUrl),
    application_token: installation.applicationToken,
  };
}

/**
 * Tokens of a user in ONAPPUSERREADY: the system user's in `data`, the installing user's in `auth`. `domain` is the
 * OAuth server's here (api-reference/common/events/on-app-user-ready.md).
 */
export function grantedAuth(installation: Installation, { access, refreshToken }: TokenPair): Values {
  return {
    ...addressOf(installation.portal, installation.baseUrl),
    domain: new URL(installation.baseUrl).host,
    access_token: access.token,
    refresh_token: refreshToken,
    expires_in: installation.accessTokenSeconds,
    scope: installation.scope.join(','),
    user_id: access.userId,
    status: 'L',
  };
}

function addressOf({ identity }: InstalledPortal, baseUrl: string): Values {
  return {
    domain: identity.domain,
    server_endpoint: serverEndpoint(baseUrl),
    client_endpoint: clientEndpoint(baseUrl, identity.name),
    member_id: identity.memberId,
  };
}
