/** After the last spec of a run of Jest: what the specs shared goes. */
import pg from 'pg';
import { forgetSharedNames, sharedNames } from './test-run.mjs';
import { dropLeftVhosts } from './vhosts.mjs';

export default async function dropSharedResources() {
  await dropLeftVhosts();
  const templates = sharedNames('templates').list();
  if (templates.length > 0) {
    const server = new pg.Client({
      connectionString: process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres',
    });
    await server.connect();
    for (const name of templates) await server.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await server.end();
  }
  forgetSharedNames();
}
