import { NestFactory } from '@nestjs/core';
import {
  BusHealth,
  BusMover,
  type EventBus,
  openBusAdmin,
  openEventBus,
  requireShardCount,
  TopologyReconciler,
} from '@relay/bus';
import { EventLogPartitions, EventLogReader, EventLogWriter } from '@relay/event-log';
import { PortalJobs } from '@relay/jobs';
import {
  type ProcessContext,
  checkDatabase,
  shutDownInOrder,
  LeaderLease,
  NestLogger,
  ownProcessContext,
  requireDatabase,
  ServiceReporter,
} from '@relay/platform';
import {
  activeSubscriptions,
  DriftChecks,
  EventBindings,
  EventDeliveryProbe,
  OfflineBindings,
  KeyRotation,
  PendingInstalls,
  PortalClients,
  PortalLimits,
  PortalQuery,
  PortalRepository,
  PortalSettings,
  PortalWakes,
  Reachability,
  Subscriptions,
  PortalCircuitBreaker,
  WebhookPairs,
} from '@relay/portals';
import { DataSource } from 'typeorm';
import { GatewayReports } from './admin/gateway-reports.js';
import { ConsumerRegistry } from './admin/consumer-registry.js';
import { createAdminApi } from './admin/admin-api.js';
import { MIRROR_CONSUMER, MIRROR_KINDS } from './admin/sync-routes.js';
import { WebhookRegistration } from './admin/webhook-registration.js';
import { ControlPlaneModule, type ControlPlaneEnvironment } from './control-plane.module.js';
import { Notifier } from './notifications/notifier.js';
import { StateMetrics } from './maintenance/state-metrics.js';
import { PortalWaker } from './maintenance/portal-waker.js';
import { HandlerComparison } from './subscriptions/handler-comparison.js';

interface RunningControlPlane {
  /** Takes no more jobs, ends those in flight, then closes bus and database. */
  close(): Promise<void>;
}

/** Starts the control plane; resolves when its admin API answers on OPS_PORT. Any number of processes may run. */
export async function startControlPlane(
  environment: ControlPlaneEnvironment,
  host: ProcessContext = ownProcessContext('control-plane', environment),
): Promise<RunningControlPlane> {
  const { log } = host;
  const { AMQP_URL: amqpUrl, DATABASE_URL: databaseUrl } = environment;
  const busHealth = new BusHealth();
  let isStarted = false;
  let bus: EventBus | undefined;
  // Started first, because the start waits for missing dependencies: meanwhile health says `live` and `not ready`.
  await host.startOpsServer({
    // Without the bus, events are still bound and the admin API still answers.
    bus: () => ({ healthy: bus?.isReady() || 'degraded', reason: busHealth.reason }),
    database: () => checkDatabase(databaseUrl),
    started: () => isStarted,
  });
  await requireDatabase(databaseUrl, log);
  await requireShardCount(databaseUrl);
  // Before its first publish only: gateways look for missing queues while they run, and report them.
  const topology = amqpUrl
    ? new TopologyReconciler({ amqpUrl, databaseUrl, wanted: activeSubscriptions, log, busHealth })
    : undefined;
  const prepare = async (): Promise<void> => topology?.prepare();
  const opened = await openEventBus({ amqpUrl, databaseUrl, log, busHealth, prepare });
  bus = opened;
  const lease = new LeaderLease({ databaseUrl, name: 'control-plane', log });
  const app = await NestFactory.createApplicationContext(
    ControlPlaneModule.forRoot(environment, lease, log),
    { logger: new NestLogger(log), abortOnError: false },
  );
  lease.start();
  const admin = openBusAdmin({ amqpUrl, databaseUrl, log });
  const database = app.get(DataSource);
  const [subscriptions, bindings] = [app.get(Subscriptions), app.get(EventBindings)];
  const consumers = new ConsumerRegistry({ admin, subscriptions, bindings });
  const mover = new BusMover({
    amqpUrl,
    previousAmqpUrl: environment.PREVIOUS_AMQP_URL,
    databaseUrl,
    bus: opened,
    consumers: () => consumers.names(),
    log,
  });
  const clients = app.get(PortalClients);
  const { EVENT_LOG_DAYS: days, EVENT_LOG_MAX_MB: maxMegabytes } = environment;
  const eventLogWriter = days > 0 ? new EventLogWriter({ databaseUrl, log }) : undefined;
  const eventLogPartitions = new EventLogPartitions({
    database,
    isLeader: () => lease.isLeader(),
    days,
    maxBytes: maxMegabytes * 1024 ** 2,
    log,
  });
  host.mountOpsApi(
    await createAdminApi({
      token: environment.OPS_TOKEN,
      portals: app.get(PortalQuery),
      repository: app.get(PortalRepository),
      handlerUrl: `${environment.PUBLIC_URL}/b24/events`,
      webhooks: app.get(WebhookRegistration),
      webhookPairs: app.get(WebhookPairs),
      pending: app.get(PendingInstalls),
      settings: app.get(PortalSettings),
      limits: app.get(PortalLimits),
      circuitBreaker: app.get(PortalCircuitBreaker),
      clients,
      jobs: app.get(PortalJobs),
      keys: app.get(KeyRotation),
      tests: new EventDeliveryProbe(database, clients),
      admin,
      bus: opened,
      eventLog: { reader: new EventLogReader(database), writer: eventLogWriter },
      mover,
      gateways: new GatewayReports(database),
      subscriptions,
      bindings,
      offline: app.get(OfflineBindings),
      checks: app.get(DriftChecks),
      reachability: app.get(Reachability),
      comparison: app.get(HandlerComparison),
      log,
    }),
  );
  const waker = new PortalWaker({
    wakes: app.get(PortalWakes),
    jobs: app.get(PortalJobs),
    admin,
    consumers: () => consumers.names(),
    log,
  });
  waker.start();
  const metrics = new StateMetrics({
    lease,
    consumers,
    portals: app.get(PortalQuery),
    checks: app.get(DriftChecks),
    jobs: app.get(PortalJobs),
    mirror: { consumer: MIRROR_CONSUMER, kinds: MIRROR_KINDS },
    log,
  });
  metrics.start();
  const notifier = new Notifier({
    environment,
    dataSource: database,
    lease,
    portals: app.get(PortalQuery),
    consumers,
    clients,
    log,
  });
  notifier.start();
  mover.start();
  eventLogPartitions.start();
  const reporter = new ServiceReporter({
    service: 'control-plane',
    opsPort: environment.OPS_PORT,
    database,
    state: () => ({ isLeader: lease.isLeader() }),
    log,
  });
  reporter.start();
  isStarted = true;
  log.info({ opsPort: environment.OPS_PORT, publicUrl: environment.PUBLIC_URL }, 'control plane started');
  return {
    close: async () => {
      isStarted = false;
      await shutDownInOrder(
        [
          // Registered before the database, from which it reads the consumers.
          { what: 'move from the previous bus', close: () => mover.close(), timeoutMs: 10_000 },
          { what: 'events to be woken', close: () => waker.stop(), timeoutMs: 5_000 },
          { what: 'notifications', close: () => notifier.stop(), timeoutMs: 12_000 },
          { what: 'state metrics', close: () => metrics.stop(), timeoutMs: 5_000 },
          { what: 'upkeep of the event log', close: () => eventLogPartitions.stop(), timeoutMs: 5_000 },
          { what: 'event log', close: async () => eventLogWriter?.close(), timeoutMs: 5_000 },
          { what: 'report', close: () => reporter.stop(), timeoutMs: 1_000 },
          // A token pair that was granted is stored before the database is closed.
          { what: 'jobs and database', close: () => app.close(), timeoutMs: 15_000 },
          { what: 'leader lease', close: () => lease.stop(), timeoutMs: 2_000 },
          { what: 'ops server', close: () => host.stopOpsServer(), timeoutMs: 1_000 },
          { what: 'queues of consumers', close: async () => topology?.close(), timeoutMs: 6_000 },
          { what: 'bus admin', close: () => admin.close(), timeoutMs: 3_000 },
          { what: 'bus', close: () => opened.close(), timeoutMs: 3_000 },
        ],
        log,
      ).finally(() => log.info({}, 'control plane stopped'));
    },
  };
}
