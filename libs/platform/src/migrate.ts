/** `npm run migrate` */
import 'reflect-metadata';
import { awaitDatabase } from './database-gate.js';
import { readEnvironment } from './environment.js';
import { createLogger } from './logger.js';
import { runMigrations } from './migrations.js';
import { runMain } from './run-main.js';

await runMain('migrate', async () => {
  const { DATABASE_URL: url, LOG_LEVEL: level } = readEnvironment(['DATABASE_URL', 'LOG_LEVEL']);
  const log = createLogger('migrate', level);
  await awaitDatabase(url, log);
  await runMigrations(url, log);
});
