import type { FastifyRequest } from 'fastify';
import { ControlError } from '../http/control-error.js';
import { clientEndpoint } from '../oauth/installation.js';
import type { Tokens } from '../oauth/tokens.js';
import type { ApplicationLifecycle } from '../portal/application-lifecycle.js';
import type { Portal } from '../portal/portal.js';
import type { Portals } from '../portal/portals.js';
import { integerOf } from '../protocol/php.js';

/** What the control routes work with. */
export interface ControlParts {
  portals: Portals;
  lifecycle: ApplicationLifecycle;
  tokens: Tokens;
  now: () => number;
  publicUrl: string | undefined;
}

export interface NamedPortal {
  Params: { name: string };
}

export function at(action: string): string {
  return `/_sim/portals/:name${action}`;
}

/** Under its present name or an old one. @throws ControlError 404 */
export function namedPortal(portals: Portals, { params }: FastifyRequest<NamedPortal>): Portal {
  const portal = portals.find(params.name) ?? portals.findMoved(params.name);
  if (!portal) throw new ControlError(`there is no portal ${params.name}`, 404);
  return portal;
}

/** @throws ControlError 400 */
export function numberIn(text: string): number {
  const value = integerOf(text);
  if (value === undefined) throw new ControlError('a number is wanted in the address', 400);
  return value;
}

export function showPortal(portal: Portal, baseUrl: string) {
  const { name, memberId, domain } = portal.identity;
  const endpoint = clientEndpoint(baseUrl, name);
  return {
    name,
    member_id: memberId,
    domain,
    client_endpoint: endpoint,
    webhooks: [...portal.webhooks].map(([secret, userId]) => `${endpoint}${userId}/${secret}/`),
    installed: portal.installation !== undefined,
    suspended: portal.suspension,
    handlers: portal.handlers
      .all()
      .map(({ id, event, url, owner }) => ({ id, event, url, kind: owner.kind })),
    settings: portal.settings,
  };
}
