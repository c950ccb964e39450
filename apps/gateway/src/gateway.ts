import type { LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { BusHealth, openEventBus, requireShardCount, TopologyReconciler } from '@relay/bus';
import { EventLogWriter, logPublished } from '@relay/event-log';
import {
  type ProcessContext,
  shutDownInOrder,
  checkDatabase,
  guardConnections,
  NestLogger,
  ownProcessContext,
  type Readiness,
  requireDatabase,
  serverOptions,
  ServiceReporter,
  type HealthResult,
  defaultConnectionLimits,
  type Log,
  type TrustProxy,
} from '@relay/platform';
import { activeSubscriptions } from '@relay/portals';
import { fastify as createServer, type FastifyInstance } from 'fastify';
import { DataSource } from 'typeorm';
import { checkPublicUrl } from './check-public-url.js';
import { ControlPlaneWatch } from './control-plane-watch.js';
import { GatewayModule, type GatewayEnvironment } from './gateway.module.js';
import {
  BODY_LIMIT_BYTES,
  disableCaching,
  rejectMalformed,
  keepBodiesUnparsed,
} from './http/fastify-setup.js';
import { RequestRejectedFilter } from './http/request-rejected.filter.js';
import { measureRequests, traceRequests } from './http/request-telemetry.js';
import type { EventPublisher } from './ingress/event-ingress.js';
import { JournalledBus } from './ingress/journal/journalled-bus.js';
import { PageFailureFilter } from './portal-page/page-request.js';

interface RunningGateway {
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
  let controlPlane: ControlPlaneWatch | undefined;
  // Started first, because the gateway waits for missing dependencies: meanwhile health says `live` and `not ready`.
  await host.startOpsServer({
    bus: () => ({ healthy: readiness(ready, topology), reason: busHealth.reason }),
    database: () => databaseReadiness(environment.DATABASE_URL),
    'control plane': () => controlPlane?.health() ?? true,
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
  const eventLog = environment.EVENT_LOG_DAYS > 0 ? new EventLogWriter({ databaseUrl, log }) : undefined;
  const app = await createGatewayApp(environment, logPublished(bus, eventLog), log, new NestLogger(log));
  await app.listen(environment.PORT, '0.0.0.0');
  const database = app.get(DataSource);
  const watch = new ControlPlaneWatch(database, log);
  controlPlane = watch;
  host.mountOpsApi(await redirectToControlPlane(watch));
  watch.start();
  const reporter = new ServiceReporter({
    service: 'gateway',
    opsPort: environment.OPS_PORT,
    database,
    state: async () => ({
      journal: await bus.status(),
      repairs: topology?.repairs() ?? [],
      // Silence is judged when all gateways say so: one of a version before leaves no trace of what it takes.
      notesArrivals: true,
    }),
    log,
  });
  reporter.start();
  ready = bus;
  log.info(
    { port: environment.PORT, opsPort: environment.OPS_PORT, publicUrl: environment.PUBLIC_URL },
    'gateway listens',
  );
  void checkPublicUrl(environment.PUBLIC_URL, log);
  return {
    close: async () => {
      ready = undefined;
      await shutDownInOrder(
        [
          // Registered before the app: dependencies of requests stay open until the last one is answered.
          { what: 'requests in flight', close: () => app.getHttpAdapter().close(), timeoutMs: 30_000 },
          { what: 'control plane watch', close: () => watch.stop(), timeoutMs: 1_000 },
          { what: 'report', close: () => reporter.stop(), timeoutMs: 1_000 },
          { what: 'installs and database', close: () => app.close(), timeoutMs: 10_000 },
          { what: 'event log', close: async () => eventLog?.close(), timeoutMs: 5_000 },
          { what: 'ops server', close: () => host.stopOpsServer(), timeoutMs: 1_000 },
          { what: 'queues of consumers', close: async () => topology?.close(), timeoutMs: 6_000 },
          // A batch of the journal may be in flight.
          { what: 'bus and journal', close: () => bus.close(), timeoutMs: 15_000 },
        ],
        log,
      ).finally(() => log.info({}, 'gateway stopped'));
    },
  };
}

/** The public server: routes, limits, telemetry and answers to what fails. It does not listen yet. */
export async function createGatewayApp(
  environment: GatewayEnvironment,
  bus: EventPublisher,
  log: Log,
  logger: LoggerService | false,
): Promise<NestFastifyApplication> {
  const connectionLimits = defaultConnectionLimits('public');
  const app = await NestFactory.create<NestFastifyApplication>(
    GatewayModule.forRoot(environment, bus, log),
    new FastifyAdapter({
      trustProxy: trustProxyOf(environment.TRUST_PROXY),
      bodyLimit: BODY_LIMIT_BYTES,
      ...serverOptions(connectionLimits),
      frameworkErrors: rejectMalformed,
      // During shutdown open connections are still served, since Bitrix24 does not repeat a request.
      return503OnClosing: false,
      // An address that was typed into Bitrix24's form may end with a slash, and nobody would notice the 404.
      routerOptions: { ignoreTrailingSlash: true },
    }),
    { bodyParser: false, logger, abortOnError: false },
  );
  const fastify = app.getHttpAdapter().getInstance();
  guardConnections(fastify.server, connectionLimits, BODY_LIMIT_BYTES);
  disableCaching(fastify);
  keepBodiesUnparsed(fastify);
  measureRequests(fastify);
  if (environment.OTEL_EXPORTER_OTLP_ENDPOINT !== undefined) traceRequests(fastify);
  const rejections = new RequestRejectedFilter(log);
  app.useGlobalFilters(rejections, new PageFailureFilter(rejections));
  return app;
}

/** For `relay` of before the control plane, which asks here: it says where the admin API is. */
async function redirectToControlPlane(watch: ControlPlaneWatch): Promise<FastifyInstance> {
  const api = createServer();
  api.setNotFoundHandler((_request, reply) => {
    const controlPlane = watch.addresses();
    const where = controlPlane.length > 0 ? ` (${controlPlane.join(', ')})` : ', and none reports';
    return reply
      .code(404)
      .send({ error: `The admin API is on the OPS_PORT of the control plane${where}`, controlPlane });
  });
  await api.ready();
  return api;
}

/** The sender's own X-Forwarded-For comes first in the list: only entries of trusted proxies count. */
function trustProxyOf(trusted: TrustProxy): string[] | false | ((address: string, hop: number) => boolean) {
  return typeof trusted === 'number' ? (_address, hop) => hop < trusted : trusted;
}

/** Without the database, events of known portals are accepted; installs and new portals are not. */
async function databaseReadiness(url: string): Promise<HealthResult> {
  const result = await checkDatabase(url);
  return result.healthy === false ? { ...result, healthy: 'degraded' } : result;
}

/** Events that the broker does not accept are stored here: the gateway works, but an operator should look. */
function readiness(bus: JournalledBus | undefined, topology: TopologyReconciler | undefined): Readiness {
  if (!bus?.isReady()) return false;
  return bus.isDegraded() || topology?.isDegraded() ? 'degraded' : true;
}
