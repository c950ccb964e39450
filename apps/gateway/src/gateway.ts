import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import {
  BusMover,
  BusHealth,
  openBusAdmin,
  openEventBus,
  requireShardCount,
  TopologyReconciler,
} from '@relay/bus';
import {
  type ProcessContext,
  closeInOrder,
  checkDatabase,
  guardConnections,
  NestLogger,
  ownProcessContext,
  type Readiness,
  requireDatabase,
  serverOptions,
  type HealthResult,
  defaultConnectionLimits,
  type TrustProxy,
} from '@relay/platform';
import { PortalJobs } from '@relay/jobs';
import {
  activeSubscriptions,
  EventBindings,
  KeyRotation,
  PendingInstalls,
  PortalClients,
  PortalLimits,
  PortalQuery,
  PortalSettings,
  PortalWakes,
  Subscriptions,
  Suspensions,
  WebhookPairs,
} from '@relay/portals';
import { TestEvents } from './events/test-events.js';
import { WebhookRegistration } from './installs/webhook-registration.js';
import { GatewayModule, type GatewayEnvironment } from './gateway.module.js';
import { BODY_LIMIT_BYTES, keepOutOfCaches, refuseMalformed, takeFormBodies } from './http/form-body.js';
import { RequestRejectedFilter } from './http/request-rejected.filter.js';
import { measureRequests } from './http/request-metrics.js';
import { traceRequests } from './http/request-spans.js';
import { KnownConsumers } from './ops/known-consumers.js';
import { createOpsApi } from './ops/ops-api.js';
import { JournalledBus } from './ingress/journal/journalled-bus.js';
import { checkPublicUrl } from './public-url.js';
import { PortalWaker } from './wakes/portal-waker.js';

export interface RunningGateway {
  /** Stops accepting requests, finishes those in flight, then closes the bus. */
  close(): Promise<void>;
}

/** Starts the gateway on `PORT`, and its ops server; resolves when both listen. */
export async function startGateway(
  environment: GatewayEnvironment,
  host: ProcessContext = ownProcessContext('gateway', environment),
): Promise<RunningGateway> {
  const { log } = host;
  const busHealth = new BusHealth();
  let ready: JournalledBus | undefined;
  let topology: TopologyReconciler | undefined;
  // Started first, because the gateway waits for missing dependencies: meanwhile health says `live` and `not ready`.
  await host.startOpsServer({
    bus: () => ({ healthy: readiness(ready, topology), reason: busHealth.reason }),
    database: () => databaseReadiness(environment.DATABASE_URL),
  });
  await requireDatabase(environment.DATABASE_URL, log);
  await requireShardCount(environment.DATABASE_URL);
  const { AMQP_URL: amqpUrl, DATABASE_URL: databaseUrl, DATA_DIR: dataDir } = environment;
  if (amqpUrl) {
    topology = new TopologyReconciler({ amqpUrl, databaseUrl, wanted: activeSubscriptions, log, busHealth });
  }
  const prepare = async (): Promise<void> => topology?.prepare();
  const opened = await openEventBus({ amqpUrl, databaseUrl, log, busHealth, prepare });
  topology?.start();
  const bus = await JournalledBus.over(opened, { dataDir, log });
  const connectionLimits = defaultConnectionLimits('public');
  const app = await NestFactory.create<NestFastifyApplication>(
    GatewayModule.forRoot(environment, bus, log),
    new FastifyAdapter({
      trustProxy: trustProxyOf(environment.TRUST_PROXY),
      bodyLimit: BODY_LIMIT_BYTES,
      ...serverOptions(connectionLimits),
      frameworkErrors: refuseMalformed,
      // During shutdown open connections are still served, since Bitrix24 does not repeat a request.
      return503OnClosing: false,
      // An address that was typed into Bitrix24's form may end with a slash, and nobody would notice the 404.
      routerOptions: { ignoreTrailingSlash: true },
    }),
    { bodyParser: false, logger: new NestLogger(log), abortOnError: false },
  );
  const admin = openBusAdmin({ amqpUrl, databaseUrl, log });
  const consumers = new KnownConsumers({
    admin,
    subscriptions: app.get(Subscriptions),
    bindings: app.get(EventBindings),
  });
  const mover = new BusMover({
    amqpUrl,
    previousAmqpUrl: environment.PREVIOUS_AMQP_URL,
    databaseUrl,
    bus,
    consumers: () => consumers.names(),
    log,
  });
  const fastify = app.getHttpAdapter().getInstance();
  guardConnections(fastify.server, connectionLimits, BODY_LIMIT_BYTES);
  keepOutOfCaches(fastify);
  takeFormBodies(fastify);
  measureRequests(fastify);
  if (environment.OTEL_EXPORTER_OTLP_ENDPOINT !== undefined) traceRequests(fastify);
  app.useGlobalFilters(new RequestRejectedFilter(log));
  await app.listen(environment.PORT, '0.0.0.0');
  host.mountOpsApi(
    await createOpsApi({
      token: environment.OPS_TOKEN,
      portals: app.get(PortalQuery),
      webhooks: app.get(WebhookRegistration),
      webhookPairs: app.get(WebhookPairs),
      pending: app.get(PendingInstalls),
      settings: app.get(PortalSettings),
      limits: app.get(PortalLimits),
      suspensions: app.get(Suspensions),
      clients: app.get(PortalClients),
      tasks: app.get(PortalJobs),
      keys: app.get(KeyRotation),
      tests: app.get(TestEvents),
      admin,
      mover,
      journal: bus,
      repairs: () => topology?.repairs() ?? [],
      subscriptions: app.get(Subscriptions),
      bindings: app.get(EventBindings),
      log,
    }),
  );
  const waker = new PortalWaker({
    wakes: app.get(PortalWakes),
    tasks: app.get(PortalJobs),
    admin,
    consumers: () => consumers.names(),
    log,
  });
  waker.start();
  ready = bus;
  mover.start();
  log.info(
    { port: environment.PORT, opsPort: environment.OPS_PORT, publicUrl: environment.PUBLIC_URL },
    'gateway listens',
  );
  void checkPublicUrl(environment.PUBLIC_URL, log);
  return {
    close: async () => {
      ready = undefined;
      await closeInOrder(
        [
          // Registered before the app: dependencies of requests stay open until the last one is answered.
          { what: 'requests in hand', close: () => stopRequests(app), timeoutMs: 30_000 },
          // Registered before the database, from which it reads the consumers.
          { what: 'move from the previous bus', close: () => mover.close(), timeoutMs: 10_000 },
          { what: 'events to be woken', close: () => waker.stop(), timeoutMs: 5_000 },
          { what: 'jobs and database', close: () => app.close(), timeoutMs: 10_000 },
          { what: 'ops server', close: () => host.stopOpsServer(), timeoutMs: 1_000 },
          { what: 'queues of consumers', close: async () => topology?.close(), timeoutMs: 6_000 },
          { what: 'care of the bus', close: () => admin.close(), timeoutMs: 3_000 },
          // A batch of the journal may be in flight.
          { what: 'bus and journal', close: () => bus.close(), timeoutMs: 15_000 },
        ],
        log,
      ).finally(() => log.info({}, 'gateway stopped'));
    },
  };
}

/** The sender's own X-Forwarded-For comes first in the list: only entries of trusted proxies count. */
function trustProxyOf(trusted: TrustProxy): string[] | false | ((address: string, hop: number) => boolean) {
  return typeof trusted === 'number' ? (_address, hop) => hop < trusted : trusted;
}

async function stopRequests(app: NestFastifyApplication): Promise<void> {
  await app.getHttpAdapter().close();
}

/** Without the database, events of known portals are accepted; installs and new portals are not. */
async function databaseReadiness(url: string): Promise<HealthResult> {
  const standing = await checkDatabase(url);
  return standing.healthy === false ? { ...standing, healthy: 'degraded' } : standing;
}

/** Events that the broker does not accept are stored here: the gateway works, but an operator should look. */
function readiness(bus: JournalledBus | undefined, topology: TopologyReconciler | undefined): Readiness {
  if (!bus?.isReady()) return false;
  return bus.isDegraded() || topology?.isDegraded() ? 'degraded' : true;
}
