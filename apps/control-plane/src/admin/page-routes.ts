import { pageFiles } from '@relay/platform';
import type { FastifyInstance } from 'fastify';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Beside the built control plane: `apps/console` is built by Vite, into files whose names change with their content. */
const FOLDER = join(import.meta.dirname, '../../../console/operator');
const FIRST_PAGE = 'index.html';
const NOT_BUILT = 'The console is not built: `npm run build`';

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
  // Vue makes its own templates with this one; it can be created once, so nothing else gets it.
  'trusted-types': 'vue',
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

/**
 * The operators' console. Everyone may load it, since it contains no data: it requests its data from the API, with the
 * token.
 */
export function addPageRoutes(api: FastifyInstance, folder = FOLDER): void {
  const options = { config: { needsNoToken: true } };
  if (!existsSync(folder)) {
    // The API is as good without it.
    api.get('/ops', options, (_, reply) => reply.code(503).send({ error: NOT_BUILT }));
    return;
  }
  const sendFile = pageFiles(folder, HEADERS);

  for (const path of ['/ops', '/ops/']) api.get(path, options, (_, reply) => sendFile(reply, FIRST_PAGE));
  api.get<{ Params: { file: string } }>('/ops/page/:file', options, ({ params }, reply) =>
    sendFile(reply, params.file),
  );
}
