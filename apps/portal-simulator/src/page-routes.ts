import { join } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { pageFiles } from '@relay/platform';
import { at, namedPortal, type NamedPortal } from './control/named-portal.js';
import { viewOf } from './portal-view.js';
import type { Portals } from './portal/portals.js';
import { ViewStreams } from './view-streams.js';

const folder = join(import.meta.dirname, 'page');
const FIRST_PAGE = 'index.html';

/** Nothing but what the simulator itself serves. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
};

export interface PageParts {
  portals: Portals;
  /** What is read at `/` by anything that is no browser, and at `/_sim` by all. */
  guide: (request: FastifyRequest) => string;
  /** Where the page proposes to install the application. */
  installAt: string;
}

/** The page, its files, and what it shows: `GET /_sim/portals/<name>/changes`. */
export function addPageRoutes(app: FastifyInstance, { portals, guide, installAt }: PageParts): void {
  const sendFile = pageFiles(folder, HEADERS);
  const sendGuide = (request: FastifyRequest, reply: FastifyReply): FastifyReply =>
    reply.type('text/plain; charset=utf-8').send(guide(request));

  app.get('/', (request, reply) => {
    reply.header('vary', 'accept');
    const isBrowser = request.headers.accept?.includes('text/html') ?? false;
    return isBrowser ? sendFile(reply, FIRST_PAGE) : sendGuide(request, reply);
  });
  app.get('/_sim', sendGuide);
  app.get<{ Params: { file: string } }>('/page/:file', ({ params }, reply) => sendFile(reply, params.file));

  const streams = new ViewStreams();
  app.get<NamedPortal>(at('/changes'), { exposeHeadRoute: false }, (request, reply) => {
    const portal = namedPortal(portals, request);
    streams.start(reply, () => {
      const all = portals.all();
      if (!all.includes(portal)) return undefined;
      return { ...viewOf(portal), portals: all.map(({ identity }) => identity.name), installAt };
    });
  });
  app.addHook('preClose', async () => {
    streams.stop();
  });
}

/** One message of the stream. */
export type PageView = ReturnType<typeof viewOf> & { portals: string[]; installAt: string };
