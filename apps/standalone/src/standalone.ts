import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startConsumer, type ConsumerOptions, type RunningConsumer } from '@relay/consumer';
import {
  acquirePidLock,
  waitForDatabase,
  ensureDatabaseRoles,
  grantToServices,
  runMigrations,
  type ProcessContext,
  StartupError,
  startTraces,
  type RoleUrls,
} from '@relay/platform';
import { z } from 'zod';
import { startControlPlane } from '../../control-plane/src/control-plane.js';
import { startGateway } from '../../gateway/src/gateway.js';
import { NameFormatterModule } from '../../name-formatter/src/name-formatter.module.js';
import { NameObserver } from '../../name-formatter/src/name-changes.js';
import { unusedIds } from '../../portal-simulator/src/demo.js';
import { startSimulator, type Simulator } from '../../portal-simulator/src/simulator.js';
import { findConsumers, type FoundConsumer } from './consumers/find-consumers.js';
import { RunningConsumers } from './consumers/running-consumers.js';
import { environmentFile, noteReleased, takenOver } from './dev/take-over.js';
import { loadOrGenerateSecrets, type GeneratedSecrets } from './data-dir/generated-secrets.js';
import { requireFreePorts } from './process/ports.js';
import { preparePostgresDataDir } from './postgres/postgres-data-dir.js';
import { startPostgres } from './postgres/server.js';
import type { ResourceStack } from './process/resource-stack.js';
import { openLogFile, Screen, shortPath } from './process/screen.js';
import { appsEnvironment, appsVariables, consumerVariables, planOf, type Plan } from './settings.js';
import { SharedProcessContext } from './process/shared-process-context.js';
import { databaseUrlFile, logFile, welcome } from './welcome.js';

const demoPortal = z.object({ handlers: z.array(z.object({ event: z.string() })) });
const DEMO_PORTAL_TIMEOUT_MS = 30_000;
/** How often it is looked whether `npm run dev` runs a consumer. */
const TAKE_OVER_INTERVAL_MS = 250;

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
  const variables = appsVariables(env, plan, secrets, databaseUrl);
  const environment = appsEnvironment(variables);
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
  // Closed when nobody talks to it any more.
  let simulator: Simulator | undefined;
  parts.add(() => simulator?.close());
  const gateway = await startGateway(environment, host.for('gateway'));
  parts.add(() => gateway.close());
  const controlPlane = await startControlPlane(environment, host.for('control-plane'));
  parts.add(() => controlPlane.close());
  // Before the consumers: what waits for them of an earlier run needs a portal that answers, and its new tokens.
  if (plan.ports.SIMULATOR_PORT !== undefined) {
    simulator = await startSimulator({
      port: plan.ports.SIMULATOR_PORT,
      log: host.for('portal-simulator').log,
      clientId: environment.B24_CLIENT_ID,
      clientSecret: environment.B24_CLIENT_SECRET,
      demoIdsAfter: unusedIds(),
      // Enough for what a newcomer's consumer does: notifications and tasks, too.
      demoScope: ['crm', 'user_brief', 'imopenlines', 'im', 'task'],
      installDemoAt: `${environment.PUBLIC_URL}/b24/install`,
    });
    await waitForDemoInstall(simulator.url);
  }
  const consumers = new RunningConsumers({
    find: () => findConsumers(),
    takenOver: () => takenOver(plan.dataDir),
    start: (found) => startUnlessBroken(found, { parts, screen, environment, context: host.for(found.app) }),
    released: (app) => {
      host.forget(app);
      screen.line(`${app} is run by npm run dev from now on`);
      noteReleased(plan.dataDir, app);
    },
    resumed: (app) =>
      screen.line(`${app} is not run by npm run dev any more: it runs here again, as it was at the start`),
    made: (app) =>
      screen.line(`${app} was made after this npm start: start it again to run the consumer here`),
  });
  parts.add(() => consumers.close());
  await consumers.update();
  if (simulator) await waitForDemoPortal(simulator.url);
  host.markStarted();
  const self = host.for('standalone');
  const update = async (): Promise<void> => {
    try {
      await consumers.update();
    } catch (error) {
      if (parts.isClosing) return;
      self.log.error(
        { event: 'standalone.take_over.failed', err: error },
        'a consumer could not be closed for npm run dev, or not be started after it',
      );
    }
  };
  const timer = setInterval(() => void update(), TAKE_OVER_INTERVAL_MS);
  parts.add(() => clearInterval(timer));
  keepEnvironment(parts, plan.dataDir, {
    ...consumerVariables(variables),
    // For `relay`, and the others for its doctor.
    OPS_PORT: String(plan.ports.OPS_PORT),
    PORT: String(plan.ports.PORT),
    MIGRATE_DATABASE_URL: owner,
  });
  welcome(screen, plan, environment.PUBLIC_URL, !env['DATABASE_URL']);
}

/** For `npm run dev` and `relay`, while this process runs. Whole or not at all. */
function keepEnvironment(parts: ResourceStack, dataDir: string, variables: Record<string, string>): void {
  const file = environmentFile(dataDir);
  parts.add(() => rmSync(file, { force: true }));
  writeFileSync(`${file}.new`, JSON.stringify(variables), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

interface ConsumerParts {
  parts: ResourceStack;
  screen: Screen;
  environment: Parameters<typeof startConsumer>[1];
  context: ProcessContext;
}

/** A mistake in one consumer, which is perhaps just being written, is no reason to run none. */
async function startUnlessBroken(
  { load }: FoundConsumer,
  { parts, screen, environment, context }: ConsumerParts,
): Promise<RunningConsumer | undefined> {
  try {
    return await startConsumer(watched(await load(), screen), environment, context);
  } catch (error) {
    if (parts.isClosing) throw error;
    context.log.error(
      { event: 'standalone.consumer.failed', err: error },
      'this consumer does not run, the others do: mend it and start again',
    );
    return undefined;
  }
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

/** Resolves when the application is installed in the portal `demo`. */
async function waitForDemoInstall(simulatorUrl: string): Promise<void> {
  await untilDemo(async () => (await fetch(`${simulatorUrl}/health/ready`)).ok);
}

/** Resolves when the portal `demo` sends its contacts' events: not before would a newcomer's contact be corrected. */
async function waitForDemoPortal(simulatorUrl: string): Promise<void> {
  await untilDemo(async () => {
    const answer = await fetch(`${simulatorUrl}/_sim/portals/demo`);
    const { handlers } = demoPortal.parse(await answer.json());
    return handlers.some(({ event }) => event === 'ONCRMCONTACTADD');
  });
}

async function untilDemo(isSo: () => Promise<boolean>): Promise<void> {
  for (const until = Date.now() + DEMO_PORTAL_TIMEOUT_MS; Date.now() < until; await pause(25))
    if (await isSo()) return;
  throw new StartupError('The application could not be installed in the portal demo; the log says why.');
}

/** The corrections of the name formatter are shown on the screen. */
function watched(consumer: ConsumerOptions, screen: Screen): ConsumerOptions {
  if (consumer.module !== NameFormatterModule) return consumer;
  const observer: NameObserver = {
    corrected: ({ before, after, firstSeenAt }) => screen.correction(before, after, Date.now() - firstSeenAt),
    leftAlone: ({ name }) => screen.leftAlone(name),
  };
  const providers = [{ provide: NameObserver, useValue: observer }];
  return { ...consumer, module: { module: NameFormatterModule, providers } };
}
