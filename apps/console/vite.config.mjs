/**
 * The pages that a browser loads, each built alone, since each has its own address: by scripts/build.mjs, or
 * `vite build --config apps/console/vite.config.mjs --mode <page>`.
 */
import vue from '@vitejs/plugin-vue';
import { join } from 'node:path';
import { defineConfig } from 'vite';

const root = join(import.meta.dirname, '../..');

/** By the folder of `src` that has its `index.html`: under which address its server has its files. */
const PAGES = new Map([
  // apps/control-plane/src/admin/page-routes.ts
  ['operator', '/ops/page/'],
  // apps/portal-simulator/src/page-routes.ts
  ['simulator', '/page/'],
  // apps/gateway/src/portal-page/framed-page.ts
  ['portal', '/b24/page/'],
]);

export default defineConfig(({ mode }) => {
  const base = PAGES.get(mode);
  if (base === undefined) throw new Error(`--mode is one of ${[...PAGES.keys()].join(', ')}`);
  return {
    root: join(import.meta.dirname, 'src', mode),
    base,
    plugins: [vue()],
    publicDir: false,
    logLevel: 'warn',
    resolve: {
      alias: { '@relay/admin-contract/texts': join(root, 'libs/admin-contract/src/texts.mjs') },
    },
    build: {
      outDir: join(root, 'dist/apps/console', mode),
      emptyOutDir: true,
      // Flat, so that the server needs no paths; no data: addresses, which the policy of the page forbids.
      assetsDir: '',
      assetsInlineLimit: 0,
      modulePreload: false,
      target: 'es2022',
      // Which part of a build took long on a busy machine helps nobody.
      rolldownOptions: { checks: { pluginTimings: false } },
    },
    // `npx vite --config apps/console/vite.config.mjs --mode operator`: the page from its sources, the API of a control plane that runs.
    server: { proxy: { '/ops/api': process.env['OPS_URL'] ?? 'http://127.0.0.1:9100' } },
  };
});
