import { TEXTS_FILE } from '@relay/admin-contract';
import { pageFiles } from '@relay/platform';
import type { FastifyInstance } from 'fastify';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = join(import.meta.dirname, 'page');
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
const HEADERS = {
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
  const sendFile = pageFiles(FOLDER, HEADERS);
  const texts = readFileSync(TEXTS_FILE, 'utf8');

  for (const path of ['/ops', '/ops/']) api.get(path, options, (_, reply) => sendFile(reply, FIRST_PAGE));
  api.get<{ Params: { file: string } }>('/ops/page/:file', options, ({ params }, reply) =>
    sendFile(reply, params.file),
  );
  api.get('/ops/page/texts.mjs', options, (_, reply) =>
    reply.headers(HEADERS).type('text/javascript; charset=utf-8').send(texts),
  );
}
