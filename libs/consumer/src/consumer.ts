import { Module, type DynamicModule, type INestMicroservice, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import {
  BusHealth,
  DatabaseCrashLog,
  openEventBus,
  PortalEventsServer,
  ProcessReporter,
  requireShardCount,
} from '@relay/bus';
import {
  type ProcessContext,
  closeInOrder,
  databaseOptions,
  checkDatabase,
  type Environment,
  type Log,
  NestLogger,
  ownProcessContext,
  requireDatabase,
} from '@relay/platform';
import { PortalCache, PORTAL_ENTITIES, PortalSettings, PortalsModule, Subscriptions } from '@relay/portals';
import { DataSource } from 'typeorm';
import { z, type ZodType } from 'zod';
import { ConsumerContextModule } from './consumer-context.js';
import { registerWorkMetrics } from './work-metrics.js';

/** The variables that every consumer reads. */
export const CONSUMER_VARIABLES = [
  'OPS_PORT',
  'DATABASE_URL',
  'AMQP_URL',
  'B24_CLIENT_ID',
  'B24_CLIENT_SECRET',
  'B24_OAUTH_URL',
  'B24_ALLOW_HOSTS',
  'TOKEN_KEYS',
  'TASK_CONCURRENCY',
  'LOG_LEVEL',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
] as const;
export type ConsumerEnvironment = Pick<Environment, (typeof CONSUMER_VARIABLES)[number]>;

export interface ConsumerOptions {
  /** Names its queues, so it must stay the same: lower case letters, digits and hyphens. */
  name: string;
  /** The app's own module: its controllers have methods under `@OnPortalEvents`. */
  module: Type | DynamicModule;
  /**
   * At its end the process waits so long for the batches in hand, by default a minute: as long as Bitrix24 may take to
   * answer. Whoever ends it must give it 15 s more.
   */
  drainWithinMs?: number;
  /** What an operator may set for it at one portal, as an object (`PortalSettings.of`); left out, nothing. */
  settings?: ZodType;
  /** Most events in hand of each of 16 shards, by default 2,000: fewer for events that carry much data. */
  prefetch?: number;
}

const DEFAULT_DRAIN_TIMEOUT_MS = 55_000;
/** To settle what is finished, and to let go of the rest. */
const HAND_BACK_TIMEOUT_MS = 8_000;

export interface RunningConsumer {
  /** Takes no more events, finishes the batches in hand, then closes bus and database. */
  close(): Promise<void>;
}

/**
 * Starts one consumer: its queues are declared and bound first, then its events are recorded, from which the gateway
 * binds them at every portal. Resolves when it takes events and its ops server listens.
 */
export async function startConsumer(
  {
    name,
    module,
    drainWithinMs = DEFAULT_DRAIN_TIMEOUT_MS,
    prefetch,
    settings = z.strictObject({}),
  }: ConsumerOptions,
  environment: ConsumerEnvironment,
  host: ProcessContext = ownProcessContext(name, environment),
): Promise<RunningConsumer> {
  if (prefetch !== undefined && !(Number.isInteger(prefetch) && prefetch > 0)) {
    throw new RangeError(`prefetch is a whole number from 1: ${prefetch}`);
  }
  const { log } = host;
  const busHealth = new BusHealth();
  let ready: PortalEventsServer | undefined;
  // First, for what is away is waited for: whoever asks meanwhile hears `live` and `not ready`.
  await host.startOpsServer({
    bus: () => ({ healthy: ready?.isReady() ?? false, reason: busHealth.reason }),
    // Without it no portal can be called.
    database: () => checkDatabase(environment.DATABASE_URL),
    handlers: () =>
      ready?.state()?.isPaused
        ? { healthy: 'degraded', reason: 'Everything fails, so one event at a time is tried: see the log' }
        : true,
  });
  await requireDatabase(environment.DATABASE_URL, log);
  await requireShardCount(environment.DATABASE_URL);
  const bus = await openEventBus({
    amqpUrl: environment.AMQP_URL,
    databaseUrl: environment.DATABASE_URL,
    log,
    busHealth,
  });
  const crashLog = new DatabaseCrashLog(environment.DATABASE_URL, name, log);
  const server = new PortalEventsServer({
    bus,
    crashLog,
    consumer: name,
    log,
    drainWithinMs,
    ...(prefetch !== undefined && { prefetch }),
    onSubscribed: async (names) => {
      await app.get(PortalSettings).declare(name, settings);
      await app.get(Subscriptions).record(name, names);
    },
  });
  const app: INestMicroservice = await NestFactory.createMicroservice(
    rootModule(name, module, environment, log),
    {
      strategy: server,
      logger: new NestLogger(log),
      abortOnError: false,
    },
  );
  ready = server;
  const hideWork = registerWorkMetrics(name, () => server.state());
  const reporter = new ProcessReporter({
    consumer: name,
    database: app.get(DataSource),
    state: () => server.state(),
    log,
  });
  // Before it takes its first event: nobody may remove the queues of a process that is about to consume.
  await reporter.start();
  app.get(PortalCache).onChange((memberId) => server.wake(memberId));
  await app.listen();
  log.info({ opsPort: environment.OPS_PORT }, `${name} takes events`);
  return {
    close: async () => {
      ready = undefined;
      hideWork();
      await closeInOrder(
        [
          {
            what: 'events in hand',
            close: () => server.close(),
            timeoutMs: drainWithinMs + HAND_BACK_TIMEOUT_MS,
          },
          // While batches are finished the process still shows itself; with the app goes its database.
          { what: 'report', close: () => reporter.stop(), timeoutMs: 1_000 },
          { what: 'database', close: () => app.close(), timeoutMs: 3_000 },
          { what: 'ops server', close: () => host.stopOpsServer(), timeoutMs: 1_000 },
          { what: 'trials', close: () => crashLog.close(), timeoutMs: 1_000 },
          { what: 'bus', close: () => bus.close(), timeoutMs: 3_000 },
        ],
        log,
      ).finally(() => log.info({}, `${name} stopped`));
    },
  };
}

@Module({})
class ConsumerRoot {}

function rootModule(
  name: string,
  module: Type | DynamicModule,
  environment: ConsumerEnvironment,
  log: Log,
): DynamicModule {
  const { B24_CLIENT_ID: clientId, B24_CLIENT_SECRET: clientSecret } = environment;
  return {
    module: ConsumerRoot,
    imports: [
      TypeOrmModule.forRoot(databaseOptions(environment.DATABASE_URL, name, PORTAL_ENTITIES)),
      PortalsModule.forRoot({
        tokenKeys: environment.TOKEN_KEYS,
        oauth:
          clientId && clientSecret ? { urls: environment.B24_OAUTH_URL, clientId, clientSecret } : undefined,
        allowHosts: environment.B24_ALLOW_HOSTS,
        log,
        databaseUrl: environment.DATABASE_URL,
      }),
      ConsumerContextModule.of(log, environment.TASK_CONCURRENCY),
      module,
    ],
  };
}
