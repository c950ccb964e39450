import { Module, type DynamicModule, type INestMicroservice, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { BusHealth, openEventBus, requireShardCount } from '@relay/bus';
import {
  type ProcessContext,
  closeInOrder,
  databaseOptions,
  checkDatabase,
  type Environment,
  type Log,
  NestLogger,
  ownProcessContext,
  readEnvironment,
  requireDatabase,
  runMain,
  runUntilSignal,
  traced,
} from '@relay/platform';
import { PortalCache, PORTAL_ENTITIES, PortalSettings, PortalsModule, Subscriptions } from '@relay/portals';
import { DataSource } from 'typeorm';
import { z, type ZodType } from 'zod';
import { ProcessReporter } from './heartbeat/process-reporter.js';
import { registerWorkMetrics } from './heartbeat/work-metrics.js';
import { PortalEventsServer } from './nest/portal-events.server.js';
import { DatabaseCrashLog } from './poison/database-crash-log.js';

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
  /** Part of its queue names, so it must stay the same: lower-case letters, digits and hyphens. */
  name: string;
  /** The app's own module: its controllers have methods under `@OnPortalEvents`. */
  module: Type | DynamicModule;
  /**
   * How long a shutdown waits for batches in flight, by default one minute: as long as Bitrix24 may take to answer.
   * The grace period of the process must be 15 s longer.
   */
  drainWithinMs?: number;
  /** Schema of the per-portal settings that an operator may set, an object (`PortalSettings.of`); omitted: none. */
  settings?: ZodType;
  /** Maximum unacknowledged events per shard (of 16), by default 2,000: lower it for events that carry much data. */
  prefetch?: number;
}

const DEFAULT_DRAIN_TIMEOUT_MS = 55_000;
/** Time to settle finished deliveries and to release the rest. */
const RETURN_TIMEOUT_MS = 8_000;

export interface RunningConsumer {
  /** Takes no more events, finishes the batches in flight, then closes bus and database. */
  close(): Promise<void>;
}

/**
 * Starts one consumer: first its queues are declared and bound, then its event names are stored, from which the
 * control plane binds them at every portal. Resolves when it takes events and its ops server listens.
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
  // First, because the start waits for services that are down: probes meanwhile see `live` and `not ready`.
  await host.startOpsServer({
    bus: () => ({ healthy: ready?.isReady() ?? false, reason: busHealth.reason }),
    // Without it no portal can be called.
    database: () => checkDatabase(environment.DATABASE_URL),
    handlers: () =>
      ready?.state()?.isPaused
        ? {
            healthy: 'degraded',
            reason:
              'The circuit breaker is open: every batch fails, so one event at a time is tried; see the log',
          }
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
  const unregisterMetrics = registerWorkMetrics(name, () => server.state());
  const reporter = new ProcessReporter({
    consumer: name,
    database: app.get(DataSource),
    state: () => server.state(),
    log,
  });
  // Before its first event, so that nobody removes the queues of a process that is about to consume.
  await reporter.start();
  app.get(PortalCache).onChange((memberId) => server.wake(memberId));
  await app.listen();
  log.info({ opsPort: environment.OPS_PORT }, `${name} takes events`);
  return {
    close: async () => {
      ready = undefined;
      unregisterMetrics();
      await closeInOrder(
        [
          {
            what: 'events in flight',
            close: () => server.close(),
            timeoutMs: drainWithinMs + RETURN_TIMEOUT_MS,
          },
          // The process stays visible while batches finish; its database closes with the app.
          { what: 'report', close: () => reporter.stop(), timeoutMs: 1_000 },
          { what: 'database', close: () => app.close(), timeoutMs: 3_000 },
          { what: 'ops server', close: () => host.stopOpsServer(), timeoutMs: 1_000 },
          { what: 'crash log', close: () => crashLog.close(), timeoutMs: 1_000 },
          { what: 'bus', close: () => bus.close(), timeoutMs: 3_000 },
        ],
        log,
      ).finally(() => log.info({}, `${name} stopped`));
    },
  };
}

/** The whole `main.ts` of a consumer: its own process, configured by the environment, ended by a signal. */
export async function runConsumer(options: ConsumerOptions): Promise<void> {
  await runMain(options.name, async () => {
    await runUntilSignal(async () => {
      const environment = readEnvironment(CONSUMER_VARIABLES);
      return traced(options.name, environment, () => startConsumer(options, environment));
    });
  });
}

/** The consumer's own log, for its controllers and providers: `@Inject(CONSUMER_LOG) log: Log`. */
export const CONSUMER_LOG = Symbol('CONSUMER_LOG');
/** The variable TASK_CONCURRENCY: maximum portals whose tasks this process handles at once. */
export const TASK_CONCURRENCY = Symbol('TASK_CONCURRENCY');
/** The variable DATABASE_URL, for what needs a connection of its own, such as a `LeaderLease`. */
export const DATABASE_URL = Symbol('DATABASE_URL');

/** What the providers of every consumer may inject. */
@Module({})
class ConsumerContextModule {
  static of(log: Log, environment: ConsumerEnvironment): DynamicModule {
    return {
      module: ConsumerContextModule,
      global: true,
      providers: [
        { provide: CONSUMER_LOG, useValue: log },
        { provide: TASK_CONCURRENCY, useValue: environment.TASK_CONCURRENCY },
        { provide: DATABASE_URL, useValue: environment.DATABASE_URL },
      ],
      exports: [CONSUMER_LOG, TASK_CONCURRENCY, DATABASE_URL],
    };
  }
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
      ConsumerContextModule.of(log, environment),
      module,
    ],
  };
}
