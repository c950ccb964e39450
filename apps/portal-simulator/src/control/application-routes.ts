import type { FastifyInstance, FastifyRequest } from 'fastify';
import { baseUrlOf, textBody } from '../http.js';
import type { Installation } from '../installation.js';
import type { Portal } from '../portal.js';
import { ControlError } from './control-error.js';
import { controlRequests, parseControl } from './control-requests.js';
import { at, namedPortal, showPortal, type ControlParts, type NamedPortal } from './named-portal.js';

/** The application at a portal: installed, updated, uninstalled, its tokens expired. */
export function addApplicationRoutes(app: FastifyInstance, parts: ControlParts): void {
  const { portals, lifecycle, tokens, now, publicUrl } = parts;

  const install = async (request: FastifyRequest<NamedPortal>) => {
    const portal = namedPortal(portals, request);
    const { url, kind } = parseControl(controlRequests.install, textBody(request));
    const baseUrl = baseUrlOf(request, publicUrl);
    const { installation, pair, answer } = await lifecycle.install(portal, baseUrl, kind, url);
    return {
      status: statusOf(answer),
      ...showPortal(portal, baseUrl),
      application_token: installation.applicationToken,
      access_token: pair.access.token,
      refresh_token: pair.refreshToken,
    };
  };

  const update = async (request: FastifyRequest<NamedPortal>) => {
    const portal = namedPortal(portals, request);
    const installation = installationOf(portal);
    const answers = await lifecycle.update(portal, installation);
    return { statuses: answers.map(statusOf), application_token: installation.applicationToken };
  };

  const uninstall = async (request: FastifyRequest<NamedPortal>) => {
    const portal = namedPortal(portals, request);
    const { url } = parseControl(controlRequests.uninstall, textBody(request));
    const answers = await lifecycle.uninstall(portal, installationOf(portal), url);
    return { statuses: answers.map(statusOf) };
  };

  const expireTokens = (request: FastifyRequest<NamedPortal>) => {
    const installation = installationOf(namedPortal(portals, request));
    const { refresh } = parseControl(controlRequests.expireTokens, textBody(request));
    return {
      expired: tokens.expireAccess(installation, now()),
      dropped: refresh ? tokens.dropRefresh(installation) : 0,
    };
  };

  const method = 'POST';
  app.route<NamedPortal>({ method, url: at('/install'), handler: install });
  app.route<NamedPortal>({ method, url: at('/app-update'), handler: update });
  app.route<NamedPortal>({ method, url: at('/uninstall'), handler: uninstall });
  app.route<NamedPortal>({ method, url: at('/expire-tokens'), handler: expireTokens });
}

function installationOf(portal: Portal): Installation {
  if (portal.installation) return portal.installation;
  throw new ControlError(`the application is not installed at ${portal.identity.name}`, 409);
}

/** The number of an HTTP status; the word for what came instead of one; null when nobody was asked. */
function statusOf(answer: string | undefined): number | string | null {
  if (answer === undefined) return null;
  return /^\d+$/.test(answer) ? Number(answer) : answer;
}
