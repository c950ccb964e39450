/** `npm run migrate` */
import 'reflect-metadata';
import { waitForDatabase } from './database/wait-for-database.js';
import { ensureDatabaseRoles, grantToServices } from './database/database-roles.js';
import { readEnvironment } from './environment/environment.js';
import { createLogger } from './telemetry/logger.js';
import { runMigrations } from './database/migrations.js';
import { runMain } from './lifecycle/run-main.js';

await runMain('migrate', async () => {
  const {
    ADMIN_DATABASE_URL: admin,
    MIGRATE_DATABASE_URL: owner,
    DATABASE_URL: service,
    LOG_LEVEL: level,
  } = readEnvironment([
    'ADMIN_DATABASE_URL',
    'MIGRATE_DATABASE_URL',
    'DATABASE_URL',
    'LOG_LEVEL',
    // With a real OAuth server the published passwords are rejected.
    'B24_OAUTH_URL',
    'B24_ALLOW_HOSTS',
  ]);
  const log = createLogger('migrate', level);
  await waitForDatabase(admin ?? owner, log);
  if (admin !== undefined) await ensureDatabaseRoles({ admin, owner, service }, log);
  await runMigrations(owner, log);
  await grantToServices(owner, service);
});
