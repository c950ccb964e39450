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
import { setUserOption } from '../portal/application-frame.js';
import { showPortal } from './portal-routes.js';

/** What users other than administrators see (settings/app-installation/installation-finish.md). */
const NOT_FINISHED =
  'The application is not fully installed yet. Please contact your Bitrix24 administrator to complete the installation.';

/** Routes that install, open, update and uninstall the application, and expire its tokens. */
export function addApplicationRoutes(app: FastifyInstance, dependencies: ControlDependencies): void {
  const { portals, lifecycle, frame, tokens, now, publicUrl } = dependencies;

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

  const openFrame = (request: FastifyRequest<PortalRoute>) => {
    const portal = namedPortal(portals, request);
    const { userId, ...opening } = parseControl(controlRequests.frame, textBody(request));
    const installation = requireInstallation(portal);
    const { pages, isFinished } = installation;
    if (!pages) throw new ControlError('the application was installed without an address', 409);
    if (!isFinished && !portal.crm.rights.isAdministrator(userId)) throw new ControlError(NOT_FINISHED, 403);
    const origin = new URL(`${request.protocol}://${request.host}`);
    return frame.open(portal, installation, pages, userId, { ...opening, origin });
  };

  /** What a frame asks of the portal by a message. */
  const runFrameCommand = async (request: FastifyRequest<PortalRoute>): Promise<object> => {
    const portal = namedPortal(portals, request);
    const given = parseControl(controlRequests.frameCommand, textBody(request));
    const installation = requireInstallation(portal);
    const { userId } = given;
    if (given.command === 'refreshAuth') return frame.refreshAuth(installation, userId);
    if (given.command === 'setInstall') {
      installation.startedBy[given.install ? 'add' : 'delete'](userId);
      return { install: given.install };
    }
    if (given.command === 'setUserOption') {
      return setUserOption(installation, userId, given.name, given.value);
    }
    const isAdministrator = portal.crm.rights.isAdministrator(userId);
    if (given.command === 'setInstallFinish') {
      if (isAdministrator) await lifecycle.finish(portal, installation);
      return { result: isAdministrator };
    }
    if (!isAdministrator) {
      throw new ControlError('an option of the application needs an administrator', 403);
    }
    installation.options = { ...installation.options, [given.name]: given.value };
    return installation.options;
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
    '/frame': openFrame,
    '/frame-command': runFrameCommand,
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
