import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startConsumer, type ConsumerOptions } from '@relay/consumer';
import {
  waitForDatabase,
  ensureDatabaseRoles,
  grantToServices,
  runMigrations,
  StartupError,
  startTraces,
  type RoleUrls,
} from '@relay/platform';
import { z } from 'zod';
import { startControlPlane } from '../../control-plane/src/control-plane.js';
import { startGateway } from '../../gateway/src/gateway.js';
import { NameFormatterModule } from '../../name-formatter/src/name-formatter.module.js';
import { nameSettings } from '../../name-formatter/src/settings.js';
import { NameObserver } from '../../name-formatter/src/name-changes.js';
import { startSimulator, type Simulator } from '../../portal-simulator/src/simulator.js';
import {
  mirrorSettings,
  SmartProcessSyncModule,
} from '../../smart-process-sync/src/smart-process-sync.module.js';
import { acquirePidLock } from './data-dir/pid-lock.js';
import { loadOrGenerateSecrets, type GeneratedSecrets } from './data-dir/generated-secrets.js';
import { requireFreePorts } from './process/ports.js';
import { preparePostgresDataDir } from './postgres/postgres-data-dir.js';
import { startPostgres } from './postgres/server.js';
import type { ResourceStack } from './process/resource-stack.js';
import { openLogFile, Screen, shortPath } from './process/screen.js';
import { appsEnvironment, planOf, type Plan } from './settings.js';
import { SharedProcessContext } from './process/shared-process-context.js';
import { databaseUrlFile, logFile, welcome } from './welcome.js';

const demoPortal = z.object({ handlers: z.array(z.object({ event: z.string() })) });
const DEMO_PORTAL_TIMEOUT_MS = 30_000;

/**
 * Everything in one process: PostgreSQL in the data folder unless DATABASE_URL is set, the simulated Bitrix24 unless
 * B24_CLIENT_ID is, the gateway, the control plane and the consumers. Resolves when a contact that is added now is corrected.
 */
export async function startStandalone(parts: ResourceStack, env: NodeJS.ProcessEnv): Promise<void> {
  const screen = new Screen(parts);
  const plan = planOf(env);
  openFolder(plan.dataDir);
  parts.add(acquirePidLock(plan.dataDir));
  await requireFreePorts(plan.ports);
  const secrets = loadOrGenerateSecrets(plan.dataDir, existsSync(join(plan.dataDir, 'postgres')));
  const log = openLogFile(logFile(plan.dataDir), screen);

  const own = env['DATABASE_URL'] ? undefined : await openDatabase(parts, plan, secrets, screen);
  const databaseUrl = env['DATABASE_URL'] || own?.service || '';
  const environment = appsEnvironment(env, plan, secrets, databaseUrl);
  const host = new SharedProcessContext(environment.LOG_LEVEL, log);
  const { OTEL_EXPORTER_OTLP_ENDPOINT: collector } = environment;
  // Opened before the apps, so closed after them: it sends the last spans.
  if (collector !== undefined) parts.add(await startTraces('standalone', collector, host.for('traces').log));
  const { log: migrateLog } = host.for('migrate');
  if (own) await ensureDatabaseRoles(own, migrateLog);
  const owner = own?.owner ?? (env['MIGRATE_DATABASE_URL'] || databaseUrl);
  await waitForDatabase(owner, migrateLog);
  await runMigrations(owner, migrateLog);
  await grantToServices(owner, databaseUrl);

  parts.add(() => host.close());
  await host.listen(environment.OPS_PORT);
  // Opened last, but closed when nobody talks to it any more.
  let simulator: Simulator | undefined;
  parts.add(() => simulator?.close());
  const gateway = await startGateway(environment, host.for('gateway'));
  parts.add(() => gateway.close());
  const controlPlane = await startControlPlane(environment, host.for('control-plane'));
  parts.add(() => controlPlane.close());
  for (const options of consumers(screen)) {
    const consumer = await startConsumer(options, environment, host.for(options.name));
    parts.add(() => consumer.close());
  }
  if (plan.ports.SIMULATOR_PORT !== undefined) {
    simulator = await startSimulator({
      port: plan.ports.SIMULATOR_PORT,
      log: host.for('portal-simulator').log,
      clientId: environment.B24_CLIENT_ID,
      clientSecret: environment.B24_CLIENT_SECRET,
      installDemoAt: `${environment.PUBLIC_URL}/b24/install`,
    });
    await waitForDemoPortal(simulator.url);
  }
  host.markStarted();
  welcome(screen, plan, environment.PUBLIC_URL, !env['DATABASE_URL']);
}

/** Nobody else's business; under root, PostgreSQL's user passes through it, but reads nothing. */
function openFolder(dataDir: string): void {
  mkdirSync(dataDir, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
}

async function openDatabase(
  parts: ResourceStack,
  { dataDir }: Plan,
  { POSTGRES_PASSWORD: password }: GeneratedSecrets,
  screen: Screen,
): Promise<RoleUrls> {
  const place = preparePostgresDataDir(dataDir);
  screen.line(`b24-relay: starting PostgreSQL in ${shortPath(place.path)}`);
  const url = await startPostgres(parts, {
    dataDir: place,
    password,
    logFile: join(dataDir, 'postgres.log'),
    onCrash: () => {
      screen.problem('PostgreSQL has ended; its log says why. Start again with npm start.');
      process.exit(1);
    },
  });
  const urls = { admin: url, owner: urlFor(url, 'relay_owner'), service: urlFor(url, 'relay_service') };
  const file = databaseUrlFile(dataDir);
  writeFileSync(file, `${urls.owner}\n`, { mode: 0o600 });
  parts.add(() => rmSync(file, { force: true }));
  return urls;
}

/** Its password is made at every start, so there is nothing to keep. */
function urlFor(adminUrl: string, role: string): string {
  const url = new URL(adminUrl);
  url.username = role;
  url.password = randomBytes(24).toString('hex');
  return url.href;
}

/** Resolves when the portal `demo` sends its contacts' events: not before would a newcomer's contact be corrected. */
async function waitForDemoPortal(simulatorUrl: string): Promise<void> {
  for (const until = Date.now() + DEMO_PORTAL_TIMEOUT_MS; Date.now() < until; await pause(25)) {
    const answer = await fetch(`${simulatorUrl}/_sim/portals/demo`);
    const { handlers } = demoPortal.parse(await answer.json());
    if (handlers.some(({ event }) => event === 'ONCRMCONTACTADD')) return;
  }
  throw new StartupError('The application could not be installed in the portal demo; the log says why.');
}

function consumers(screen: Screen): ConsumerOptions[] {
  const observer: NameObserver = {
    corrected: ({ before, after, firstSeenAt }) => screen.correction(before, after, Date.now() - firstSeenAt),
  };
  const providers = [{ provide: NameObserver, useValue: observer }];
  return [
    {
      name: 'name-formatter',
      module: { module: NameFormatterModule, providers },
      settings: nameSettings,
    },
    { name: 'smart-process-sync', module: SmartProcessSyncModule, settings: mirrorSettings },
  ];
}
