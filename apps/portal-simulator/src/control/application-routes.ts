import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { PostResult } from '../events/event-delivery.js';
import { baseUrlOf, ControlError, textBody } from '../http/http-server.js';
import type { Installation } from '../oauth/installation.js';
import type { Portal } from '../portal/portal.js';
import {
  portalPath,
  controlRequests,
  namedPortal,
  parseControl,
  type ControlDependencies,
  type PortalRoute,
} from './control-requests.js';
import { showPortal } from './portal-routes.js';

/** Routes that install, open, update and uninstall the application, and expire its tokens. */
export function addApplicationRoutes(app: FastifyInstance, dependencies: ControlDependencies): void {
  const { portals, lifecycle, tokens, now, publicUrl } = dependencies;

  const install = async (request: FastifyRequest<PortalRoute>) => {
    const portal = namedPortal(portals, request);
    const options = parseControl(controlRequests.install, textBody(request));
    const baseUrl = baseUrlOf(request, publicUrl);
    const { installation, pair, result } = await lifecycle.install(portal, baseUrl, options);
    return {
      ...showPostResult(result),
      ...showPortal(portal, baseUrl),
      application_token: installation.applicationToken,
      access_token: pair.access.token,
      refresh_token: pair.refreshToken,
    };
  };

  const finish = async (request: FastifyRequest<PortalRoute>) => {
    const portal = namedPortal(portals, request);
    return showPostResults(await lifecycle.finish(portal, requireInstallation(portal)));
  };

  const open = async (request: FastifyRequest<PortalRoute>) => {
    const portal = namedPortal(portals, request);
    const { url, userId, ...opening } = parseControl(controlRequests.open, textBody(request));
    return showPostResult(
      await lifecycle.openPage(portal, requireInstallation(portal), url, userId, opening),
    );
  };

  const update = async (request: FastifyRequest<PortalRoute>) => {
    const portal = namedPortal(portals, request);
    const installation = requireInstallation(portal);
    const results = await lifecycle.update(portal, installation);
    return { ...showPostResults(results), application_token: installation.applicationToken };
  };

  const uninstall = async (request: FastifyRequest<PortalRoute>) => {
    const portal = namedPortal(portals, request);
    const options = parseControl(controlRequests.uninstall, textBody(request));
    return showPostResults(await lifecycle.uninstall(portal, requireInstallation(portal), options));
  };

  const userReady = async (request: FastifyRequest<PortalRoute>) => {
    const portal = namedPortal(portals, request);
    const { url } = parseControl(controlRequests.userReady, textBody(request));
    return showPostResult(await lifecycle.userReady(portal, requireInstallation(portal), url));
  };

  const expireTokens = (request: FastifyRequest<PortalRoute>) => {
    const installation = requireInstallation(namedPortal(portals, request));
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
    app.route<PortalRoute>({ method: 'POST', url: portalPath(action), handler });
  }
}

function requireInstallation(portal: Portal): Installation {
  if (portal.installation) return portal.installation;
  throw new ControlError(`the application is not installed at ${portal.identity.name}`, 409);
}

function showPostResults(results: readonly PostResult[]) {
  return {
    statuses: results.map((one) => showPostResult(one).status),
    bodies: results.map(({ body }) => body),
  };
}

/** An HTTP status as a number, a connection error as a text, null if no request was sent. */
function showPostResult(result: PostResult | undefined): { status: number | string | null; body: string } {
  if (!result) return { status: null, body: '' };
  const { outcome, body } = result;
  return { status: /^\d+$/.test(outcome) ? Number(outcome) : outcome, body };
}
