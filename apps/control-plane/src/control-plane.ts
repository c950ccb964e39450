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
import { EventTests } from '@relay/installs';
import { PortalJobs } from '@relay/jobs';
import {
  type ProcessContext,
  checkDatabase,
  closeInOrder,
  LeaderLease,
  NestLogger,
  ownProcessContext,
  requireDatabase,
  ServiceReporter,
} from '@relay/platform';
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
import { DataSource } from 'typeorm';
import { GatewayReports } from './admin/gateway-reports.js';
import { KnownConsumers } from './admin/known-consumers.js';
import { createAdminApi } from './admin/admin-api.js';
import { WebhookRegistration } from './admin/webhook-registration.js';
import { ControlPlaneModule, type ControlPlaneEnvironment } from './control-plane.module.js';
import { PortalWaker } from './maintenance/portal-waker.js';

export interface RunningControlPlane {
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
  const consumers = new KnownConsumers({ admin, subscriptions, bindings });
  const mover = new BusMover({
    amqpUrl,
    previousAmqpUrl: environment.PREVIOUS_AMQP_URL,
    databaseUrl,
    bus: opened,
    consumers: () => consumers.names(),
    log,
  });
  const clients = app.get(PortalClients);
  host.mountOpsApi(
    await createAdminApi({
      token: environment.OPS_TOKEN,
      portals: app.get(PortalQuery),
      webhooks: app.get(WebhookRegistration),
      webhookPairs: app.get(WebhookPairs),
      pending: app.get(PendingInstalls),
      settings: app.get(PortalSettings),
      limits: app.get(PortalLimits),
      suspensions: app.get(Suspensions),
      clients,
      jobs: app.get(PortalJobs),
      keys: app.get(KeyRotation),
      tests: new EventTests(database, clients),
      admin,
      mover,
      gateways: new GatewayReports(database),
      subscriptions,
      bindings,
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
  mover.start();
  const reporter = new ServiceReporter({
    service: 'control-plane',
    opsPort: environment.OPS_PORT,
    database,
    state: () => ({ isLeader: lease.isLeader() }),
    log,
  });
  reporter.start();
  isStarted = true;
  log.info({ opsPort: environment.OPS_PORT, publicUrl: environment.PUBLIC_URL }, 'control plane works');
  return {
    close: async () => {
      isStarted = false;
      await closeInOrder(
        [
          // Registered before the database, from which it reads the consumers.
          { what: 'move from the previous bus', close: () => mover.close(), timeoutMs: 10_000 },
          { what: 'events to be woken', close: () => waker.stop(), timeoutMs: 5_000 },
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
