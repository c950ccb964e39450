import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { at, namedPortal, type NamedPortal } from './control/named-portal.js';
import { viewOf } from './portal-view.js';
import type { Portals } from './portals.js';
import { ViewStreams } from './view-streams.js';

const folder = join(import.meta.dirname, 'page');
const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};
const firstPage = 'index.html';

/** Nothing but what the simulator itself serves. */
const headers = {
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
  const files = new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]));

  const sendFile = (reply: FastifyReply, name: string): FastifyReply => {
    const [text, type] = [files.get(name), contentTypes[extname(name)]];
    if (text === undefined || type === undefined)
      return reply.code(404).send({ error: 'there is no such file' });
    return reply.headers(headers).type(type).send(text);
  };
  const sendGuide = (request: FastifyRequest, reply: FastifyReply): FastifyReply =>
    reply.type('text/plain; charset=utf-8').send(guide(request));

  app.get('/', (request, reply) => {
    reply.header('vary', 'accept');
    const isBrowser = request.headers.accept?.includes('text/html') ?? false;
    return isBrowser ? sendFile(reply, firstPage) : sendGuide(request, reply);
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
