import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { JournalledBus, openEventBus, requireShardCount } from '@relay/bus';
import { type AppHost, NestLogger, ownProcess, type Readiness, requireDatabase } from '@relay/platform';
import {
  KeyRotation,
  PortalLimits,
  PortalList,
  PortalSettings,
  PortalTasks,
  Suspensions,
  WebhookPairs,
} from '@relay/portals';
import { TestEvents } from './events/test-events.js';
import { GatewayModule, type GatewayEnvironment } from './gateway.module.js';
import { bodyLimitBytes, refuseMalformed, takeFormBodies } from './http/form-body.js';
import { RefusalFilter } from './http/refusal.filter.js';
import { createOpsApi } from './ops/ops-api.js';
import { checkPublicUrl } from './public-url.js';

export interface RunningGateway {
  /** Stops taking requests, finishes those in hand, then closes the bus. */
  close(): Promise<void>;
}

/** Starts the gateway on `PORT`, and its ops server; resolves when both listen. */
export async function startGateway(
  environment: GatewayEnvironment,
  host: AppHost = ownProcess('gateway', environment),
): Promise<RunningGateway> {
  const { log } = host;
  let ready: JournalledBus | undefined;
  // First, for what is away is waited for: whoever asks meanwhile hears `live` and `not ready`.
  await host.openOps({ bus: () => readiness(ready) });
  await requireDatabase(environment.DATABASE_URL, log);
  await requireShardCount(environment.DATABASE_URL);
  const { AMQP_URL: amqpUrl, DATABASE_URL: databaseUrl, DATA_DIR: dataDir } = environment;
  const bus = await JournalledBus.over(await openEventBus({ amqpUrl, databaseUrl, log }), { dataDir, log });
  const app = await NestFactory.create<NestFastifyApplication>(
    GatewayModule.forRoot(environment, bus, log),
    new FastifyAdapter({ bodyLimit: bodyLimitBytes, frameworkErrors: refuseMalformed }),
    { bodyParser: false, logger: new NestLogger(log), abortOnError: false },
  );
  takeFormBodies(app.getHttpAdapter().getInstance());
  app.useGlobalFilters(new RefusalFilter(log));
  await app.listen(environment.PORT, '0.0.0.0');
  host.mountOps(
    await createOpsApi({
      token: environment.OPS_TOKEN,
      portals: app.get(PortalList),
      webhookPairs: app.get(WebhookPairs),
      settings: app.get(PortalSettings),
      limits: app.get(PortalLimits),
      suspensions: app.get(Suspensions),
      tasks: app.get(PortalTasks),
      keys: app.get(KeyRotation),
      tests: app.get(TestEvents),
      log,
    }),
  );
  ready = bus;
  log.info(
    { port: environment.PORT, opsPort: environment.OPS_PORT, publicUrl: environment.PUBLIC_URL },
    'gateway listens',
  );
  void checkPublicUrl(environment.PUBLIC_URL, log);
  return {
    close: async () => {
      await app.close();
      await host.closeOps();
      await bus.close();
      log.info({}, 'gateway stopped');
    },
  };
}

/** Events that the broker does not take are kept here: that is work done, and a reason to look. */
function readiness(bus: JournalledBus | undefined): Readiness {
  if (!bus?.isReady()) return false;
  return bus.isDegraded() ? 'degraded' : true;
}
