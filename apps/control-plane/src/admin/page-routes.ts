import { join } from 'node:path';
import type { ReportedJournal } from '@relay/admin-contract';
import { pageFiles } from '@relay/platform';
import type { JobOverview } from '@relay/jobs';
import type { FastifyInstance } from 'fastify';
import type { ListedConsumer } from './known-consumers.js';
import type { PortalWithBindings } from './portal-routes.js';

const folder = join(import.meta.dirname, 'page');
const FIRST_PAGE = 'index.html';

const POLICY = {
  'default-src': `'none'`,
  'script-src': `'self'`,
  'style-src': `'self'`,
  'img-src': `'self'`,
  'connect-src': `'self'`,
  'base-uri': `'none'`,
  'form-action': `'none'`,
  'frame-ancestors': `'none'`,
  // Titles and domains are foreign text: browsers that support this forbid scripts to turn text into markup.
  'require-trusted-types-for': `'script'`,
  'trusted-types': `'none'`,
};
const headers = {
  'content-security-policy': Object.entries(POLICY)
    .map((directive) => directive.join(' '))
    .join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

/** The operator page. Everyone may load it, since it contains no data: it requests its data from the API, with the token. */
export function addPageRoutes(api: FastifyInstance): void {
  const options = { config: { needsNoToken: true } };
  const sendFile = pageFiles(folder, headers);

  for (const path of ['/ops', '/ops/']) api.get(path, options, (_, reply) => sendFile(reply, FIRST_PAGE));
  api.get<{ Params: { file: string } }>('/ops/page/:file', options, ({ params }, reply) =>
    sendFile(reply, params.file),
  );
}

/** The type of a value after JSON serialization. */
type Seen<T> = T extends Date ? string : T extends object ? { [K in keyof T]: Seen<T[K]> } : T;

/** What the page's scripts get from the API. */
export type SeenPortal = Seen<PortalWithBindings>;
export type SeenConsumer = Seen<ListedConsumer>;
export type SeenJournal = ReportedJournal;
export type SeenSync = Seen<JobOverview>;
export type SeenTask = SeenSync['tasks'][number];
