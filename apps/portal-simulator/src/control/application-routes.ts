import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Posted } from '../events/event-delivery.js';
import { baseUrlOf, ControlError, textBody } from '../http/http-server.js';
import type { Installation } from '../oauth/installation.js';
import type { Portal } from '../portal/portal.js';
import {
  at,
  controlRequests,
  namedPortal,
  parseControl,
  type ControlParts,
  type NamedPortal,
} from './control-requests.js';
import { showPortal } from './portal-routes.js';

/** The application at a portal: installed, opened, updated, uninstalled, its tokens expired. */
export function addApplicationRoutes(app: FastifyInstance, parts: ControlParts): void {
  const { portals, lifecycle, tokens, now, publicUrl } = parts;

  const install = async (request: FastifyRequest<NamedPortal>) => {
    const portal = namedPortal(portals, request);
    const order = parseControl(controlRequests.install, textBody(request));
    const baseUrl = baseUrlOf(request, publicUrl);
    const { installation, pair, posted } = await lifecycle.install(portal, baseUrl, order);
    return {
      ...showPosted(posted),
      ...showPortal(portal, baseUrl),
      application_token: installation.applicationToken,
      access_token: pair.access.token,
      refresh_token: pair.refreshToken,
    };
  };

  const finish = async (request: FastifyRequest<NamedPortal>) => {
    const portal = namedPortal(portals, request);
    return showAll(await lifecycle.finish(portal, installationOf(portal)));
  };

  const open = async (request: FastifyRequest<NamedPortal>) => {
    const portal = namedPortal(portals, request);
    const { url, userId, ...opening } = parseControl(controlRequests.open, textBody(request));
    return showPosted(await lifecycle.open(portal, installationOf(portal), url, userId, opening));
  };

  const update = async (request: FastifyRequest<NamedPortal>) => {
    const portal = namedPortal(portals, request);
    const installation = installationOf(portal);
    const posted = await lifecycle.update(portal, installation);
    return { ...showAll(posted), application_token: installation.applicationToken };
  };

  const uninstall = async (request: FastifyRequest<NamedPortal>) => {
    const portal = namedPortal(portals, request);
    const order = parseControl(controlRequests.uninstall, textBody(request));
    return showAll(await lifecycle.uninstall(portal, installationOf(portal), order));
  };

  const userReady = async (request: FastifyRequest<NamedPortal>) => {
    const portal = namedPortal(portals, request);
    const { url } = parseControl(controlRequests.userReady, textBody(request));
    return showPosted(await lifecycle.userReady(portal, installationOf(portal), url));
  };

  const expireTokens = (request: FastifyRequest<NamedPortal>) => {
    const installation = installationOf(namedPortal(portals, request));
    const { refresh } = parseControl(controlRequests.expireTokens, textBody(request));
    return {
      expired: tokens.expireAccess(installation, now()),
      dropped: refresh ? tokens.dropRefresh(installation) : 0,
    };
  };

  const actions = {
    '/install': install,
    '/install-finish': finish,
    '/open': open,
    '/app-update': update,
    '/uninstall': uninstall,
    '/user-ready': userReady,
    '/expire-tokens': expireTokens,
  };
  for (const [action, handler] of Object.entries(actions)) {
    app.route<NamedPortal>({ method: 'POST', url: at(action), handler });
  }
}

function installationOf(portal: Portal): Installation {
  if (portal.installation) return portal.installation;
  throw new ControlError(`the application is not installed at ${portal.identity.name}`, 409);
}

function showAll(posted: readonly Posted[]) {
  return {
    statuses: posted.map((one) => showPosted(one).status),
    bodies: posted.map(({ body }) => body),
  };
}

/** The number of an HTTP status; the word for what came instead of one; null when nobody was asked. */
function showPosted(posted: Posted | undefined): { status: number | string | null; body: string } {
  if (!posted) return { status: null, body: '' };
  const { answer, body } = posted;
  return { status: /^\d+$/.test(answer) ? Number(answer) : answer, body };
}
