import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { pageFiles } from '@relay/platform';
import { at, namedPortal, type NamedPortal } from './control/control-requests.js';
import type { Author } from './crm/crm.js';
import { CONTACT_TYPE_ID } from './crm/object-types.js';
import { smartProcessValue } from './crm/smart-processes.js';
import { everything } from './items/filter.js';
import type { ItemStore } from './items/item-store.js';
import type { Item } from './items/item.js';
import type { Portal } from './portal/portal.js';
import type { Portals } from './portal/portals.js';
import { textOf } from './protocol/php.js';

const folder = join(import.meta.dirname, 'page');
const FIRST_PAGE = 'index.html';

const SEND_INTERVAL_MS = 100;

/** More than anybody reads, and little enough to be sent ten times a second. */
const MAX_ROWS = 100;

export interface Row {
  id: number;
  fields: Record<string, string>;
  changedAtMs: number;
  changedBy: Author;
  /** Only when the last change made a difference to these fields. */
  before?: { fields: Record<string, string>; sinceMs: number };
}

export interface Table {
  entityTypeId: number;
  title: string;
  total: number;
  /** The newest first. */
  rows: Row[];
}

/** `listening`: somebody is told of contacts. `installed`: nobody is, but the application is there. */
type ApplicationState = 'absent' | 'installed' | 'listening';

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

/** One portal as its page shows it. */
function viewOf(portal: Portal) {
  const { rate, burst } = portal.settings;
  return {
    portal: portal.identity.name,
    application: applicationState(portal),
    limits: { rate, burst },
    contacts: tableOf(portal, CONTACT_TYPE_ID, 'Contacts', ['name', 'secondName', 'lastName']),
    processes: portal.crm.types
      .all()
      .map((type) =>
        tableOf(portal, type.entityTypeId, textOf(smartProcessValue(type, 'title')) ?? '', ['title']),
      ),
    stats: portal.stats.read(portal.events.pending),
  };
}

function applicationState({ handlers, installation }: Portal): ApplicationState {
  const isHeard = ['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE'].some((name) => handlers.of(name).length > 0);
  if (isHeard) return 'listening';
  return installation ? 'installed' : 'absent';
}

function tableOf(portal: Portal, entityTypeId: number, title: string, names: readonly string[]): Table {
  const store = portal.crm.items(entityTypeId);
  const { items } = store.page({
    filter: everything,
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
 * Streams of server-sent events, each message the whole of what its page shows. A mass update changes thousands of
 * items a second; an eye needs ten pictures of it. So a stream looks at intervals and sends only what is new, and
 * nothing in a portal has to know that it is watched. A page that reads slowly misses pictures, not the last one.
 */
class ViewStreams {
  private readonly open = new Set<ServerResponse>();

  /** @param view what is to be seen now; undefined ends the stream with the event `gone` */
  start(reply: FastifyReply, view: () => object | undefined): void {
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' });
    let sent = '';
    const send = (): void => {
      if (raw.writableEnded || raw.writableNeedDrain) return;
      const seen = view();
      if (!seen) {
        raw.end('event: gone\ndata:\n\n');
        return;
      }
      const data = JSON.stringify(seen);
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
