import type { ServerResponse } from 'node:http';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { pageFiles } from '@relay/platform';
import { portalPath, namedPortal, type PortalRoute } from './control/control-requests.js';
import type { Author } from './crm/crm.js';
import { PORTAL_USERS } from './crm/users.js';
import { CONTACT_TYPE_ID, DEAL_TYPE_ID } from './fields/standard-sets.js';
import { smartProcessValue } from './crm/smart-processes.js';
import { MATCH_ALL } from './items/filter.js';
import type { ItemStore } from './items/item-store.js';
import type { Item } from './items/item.js';
import type { Portal } from './portal/portal.js';
import type { Portals } from './portal/portals.js';
import { textOf } from './protocol/php.js';

/** Beside the built simulator: `apps/console` is built by Vite, into files whose names change with their content. */
const FOLDER = join(import.meta.dirname, '../../console/simulator');
const FIRST_PAGE = 'index.html';
const NOT_BUILT = 'The page is not built: `npm run build`. The same in text is at /_sim.';

const SEND_INTERVAL_MS = 100;

/** Few enough to be sent ten times a second. */
const MAX_ROWS = 100;

interface Row {
  id: number;
  fields: Record<string, string>;
  changedAtMs: number;
  changedBy: Author;
  /** Present only if the last change changed one of these fields. */
  before?: { fields: Record<string, string>; sinceMs: number };
}

interface Table {
  entityTypeId: number;
  title: string;
  total: number;
  /** Newest first. */
  rows: Row[];
}

/**
 * `listening`: a handler is bound to contact events. `installed`: the application is installed, no handler is bound.
 */
type ApplicationState = 'absent' | 'installed' | 'listening';

/** Allows resources of the simulator only, and of elsewhere what `more` names. */
function headers(more: string, referrerPolicy: string): Record<string, string> {
  return {
    'content-security-policy':
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
      `base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types vue; ${more}`,
    'x-content-type-options': 'nosniff',
    'referrer-policy': referrerPolicy,
    'cache-control': 'no-cache',
  };
}

const HEADERS = headers("form-action 'none'", 'no-referrer');

/** The application's address is anywhere; without a referrer, the browser would tell it no origin. */
const FRAME_HEADERS = headers(
  'frame-src http: https:; form-action http: https:',
  'strict-origin-when-cross-origin',
);

interface PageDependencies {
  portals: Portals;
  /** The text at `/` for clients other than browsers, and at `/_sim` for all. */
  guide: (request: FastifyRequest) => string;
  /** The install address that the page proposes. */
  installAt: string;
}

/**
 * Routes of the page, its files, the frame of the application: `GET /portals/<name>/app`, and the stream of the page's
 * content: `GET /_sim/portals/<name>/changes`.
 */
export function addPageRoutes(
  app: FastifyInstance,
  { portals, guide, installAt }: PageDependencies,
  folder = FOLDER,
): void {
  const isBuilt = existsSync(folder);
  const sendFile = isBuilt ? pageFiles(folder, HEADERS) : sendNotBuilt;
  const sendFrameFile = isBuilt ? pageFiles(folder, FRAME_HEADERS) : sendNotBuilt;
  const sendGuide = (request: FastifyRequest, reply: FastifyReply): FastifyReply =>
    reply.type('text/plain; charset=utf-8').send(guide(request));

  app.get('/', (request, reply) => {
    reply.header('vary', 'accept');
    const isBrowser = request.headers.accept?.includes('text/html') ?? false;
    return isBrowser ? sendFile(reply, FIRST_PAGE) : sendGuide(request, reply);
  });
  app.get('/_sim', sendGuide);
  app.get<PortalRoute>('/portals/:name/app', (request, reply) => {
    namedPortal(portals, request);
    return sendFrameFile(reply, FIRST_PAGE);
  });
  app.get<{ Params: { file: string } }>('/page/:file', ({ params }, reply) => sendFile(reply, params.file));

  const streams = new ViewStreams();
  app.get<PortalRoute>(portalPath('/changes'), { exposeHeadRoute: false }, (request, reply) => {
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

function sendNotBuilt(reply: FastifyReply): FastifyReply {
  return reply.code(503).type('text/plain').send(NOT_BUILT);
}

/** The content of a portal's page. */
function viewOf(portal: Portal) {
  const { rate, burst } = portal.settings;
  return {
    portal: portal.identity.name,
    application: applicationState(portal),
    limits: { rate, burst },
    contacts: tableOf(portal, CONTACT_TYPE_ID, 'Contacts', ['name', 'secondName', 'lastName']),
    deals: tableOf(portal, DEAL_TYPE_ID, 'Deals', ['title', 'stageId', 'opportunity']),
    processes: portal.crm.types
      .all()
      .map((type) =>
        tableOf(portal, type.entityTypeId, textOf(smartProcessValue(type, 'title')) ?? '', ['title']),
      ),
    stats: portal.stats.read(portal.events.pending),
    developer: developerResources(portal),
  };
}

/** What a portal shows to the developer of an application. */
function developerResources({ installation, handlers, offline, webhooks, crm }: Portal) {
  return {
    installation: installation && {
      userId: installation.userId,
      version: installation.version,
      isFinished: installation.isFinished,
      pages: installation.pages,
    },
    online: handlers.all().map(({ id, event, url, owner }) => ({ id, event, url, kind: owner.kind })),
    offline: offline.handlers().map(({ event, connector }) => ({ event, connector })),
    queued: offline.all().length,
    webhooks: [...webhooks].map(([secret, userId]) => ({ userId, secret })),
    users: PORTAL_USERS.map(({ id, name, lastName }) => ({
      id,
      name: `${name} ${lastName}`,
      isAdministrator: crm.rights.isAdministrator(id),
    })),
  };
}

function applicationState({ handlers, installation }: Portal): ApplicationState {
  const isListening = ['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE'].some((name) => handlers.of(name).length > 0);
  if (isListening) return 'listening';
  return installation ? 'installed' : 'absent';
}

function tableOf(portal: Portal, entityTypeId: number, title: string, names: readonly string[]): Table {
  const store = portal.crm.items(entityTypeId);
  const { items } = store.page({
    filter: MATCH_ALL,
    orders: [{ field: 'id', descending: true }],
    offset: 0,
    limit: MAX_ROWS,
    count: false,
  });
  return {
    entityTypeId,
    title,
    total: store.size,
    rows: items.map((item) => rowOf(portal, store, item, names)),
  };
}

function rowOf(portal: Portal, store: ItemStore, item: Item, names: readonly string[]): Row {
  const { author, previous } = portal.crm.lastChanges.of(item);
  const fields = textsOf(store, item, names);
  const row: Row = { id: item.id, fields, changedAtMs: item.updatedAtMs, changedBy: author };
  if (!previous) return row;
  const before = textsOf(store, { ...item, fields: previous.fields }, names);
  if (names.some((name) => before[name] !== fields[name])) {
    row.before = { fields: before, sinceMs: item.updatedAtMs - previous.atMs };
  }
  return row;
}

function textsOf(store: ItemStore, item: Item, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, textOf(store.valueOf(item, name)) ?? '']));
}

/**
 * Server-sent events, each message the complete content of a page. A mass update changes thousands of items a second,
 * and a person needs ten updates of it, so a stream polls and sends only changes. A page that reads slowly misses some
 * messages, not the last one.
 */
class ViewStreams {
  private readonly open = new Set<ServerResponse>();

  /** @param view the current content; undefined ends the stream with the event `gone` */
  start(reply: FastifyReply, view: () => object | undefined): void {
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' });
    let sent = '';
    const send = (): void => {
      if (raw.writableEnded || raw.writableNeedDrain) return;
      const current = view();
      if (!current) {
        raw.end('event: gone\ndata:\n\n');
        return;
      }
      const data = JSON.stringify(current);
      if (data === sent) return;
      sent = data;
      raw.write(`data: ${data}\n\n`);
    };
    const timer = setInterval(send, SEND_INTERVAL_MS);
    this.open.add(raw);
    raw.on('close', () => {
      clearInterval(timer);
      this.open.delete(raw);
    });
    send();
  }

  /** An open stream would keep the server from closing. */
  stop(): void {
    for (const raw of this.open) raw.end();
  }
}
