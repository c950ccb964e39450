import { hkdfSync } from 'node:crypto';
import { Module, type DynamicModule, type INestMicroservice, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { BusHealth, type EventBus, openEventBus, requireShardCount } from '@relay/bus';
import { EventLogWriter, logPublished } from '@relay/event-log';
import {
  type ProcessContext,
  shutDownInOrder,
  databaseOptions,
  checkDatabase,
  type Environment,
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
  'EVENT_LOG_DAYS',
  'LOG_LEVEL',
  'NODE_ENV',
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
  /** Replaced by specs alone: which bus a process opens, its environment says. */
  openBus: typeof openEventBus = openEventBus,
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
  const bus = await openBus({
    amqpUrl: environment.AMQP_URL,
    databaseUrl: environment.DATABASE_URL,
    log,
    busHealth,
  });
  const crashLog = new DatabaseCrashLog(environment.DATABASE_URL, name, log);
  const eventLog =
    environment.EVENT_LOG_DAYS > 0
      ? new EventLogWriter({ databaseUrl: environment.DATABASE_URL, log })
      : undefined;
  const publisher = logPublished(bus, eventLog);
  const server = new PortalEventsServer({
    bus,
    crashLog,
    eventLog,
    consumer: name,
    log,
    drainWithinMs,
    checkData: environment.NODE_ENV !== 'production',
    ...(prefetch !== undefined && { prefetch }),
    onSubscribed: async (names) => {
      await app?.get(PortalSettings).declare(name, settings);
      await app?.get(Subscriptions).record(name, names);
    },
  });
  let app: INestMicroservice | undefined;
  let reporter: ProcessReporter | undefined;
  let unregisterMetrics: (() => void) | undefined;
  try {
    app = await NestFactory.createMicroservice(rootModule(name, module, environment, { log, publisher }), {
      strategy: server,
      logger: new NestLogger(log),
      abortOnError: false,
    });
    ready = server;
    unregisterMetrics = registerWorkMetrics(name, () => server.state());
    const state = (): ReturnType<typeof server.report> => server.report();
    reporter = new ProcessReporter({ consumer: name, database: app.get(DataSource), state, log });
    // Before its first event, so that nobody removes the queues of a process that is about to consume.
    await reporter.start();
    app.get(PortalCache).onChange((memberId) => server.wake(memberId));
    await app.listen();
  } catch (error) {
    // Beside others in one process (apps/standalone), which goes on without this one.
    ready = undefined;
    unregisterMetrics?.();
    await Promise.allSettled([server.close(), reporter?.stop()]);
    await Promise.allSettled([app?.close(), crashLog.close(), eventLog?.close(), bus.close()]);
    throw error;
  }
  log.info({ opsPort: environment.OPS_PORT }, `${name} takes events`);
  return {
    close: async () => {
      ready = undefined;
      unregisterMetrics?.();
      await shutDownInOrder(
        [
          {
            what: 'events in flight',
            close: () => server.close(),
            timeoutMs: drainWithinMs + RETURN_TIMEOUT_MS,
          },
          // The process stays visible while batches finish; its database closes with the app.
          { what: 'report', close: async () => reporter?.stop(), timeoutMs: 1_000 },
          { what: 'database', close: async () => app?.close(), timeoutMs: 3_000 },
          { what: 'ops server', close: () => host.stopOpsServer(), timeoutMs: 1_000 },
          { what: 'crash log', close: () => crashLog.close(), timeoutMs: 1_000 },
          { what: 'event log', close: async () => eventLog?.close(), timeoutMs: 5_000 },
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

/**
 * The consumer's own log, for its controllers and providers: `@Inject(CONSUMER_LOG) log: Log`. Its lines have `component: 'consumer'`,
 * those of the libs around it do not.
 */
export const CONSUMER_LOG = Symbol('CONSUMER_LOG');
/** The variable TASK_CONCURRENCY: maximum portals whose jobs this process runs at once. */
export const TASK_CONCURRENCY = Symbol('TASK_CONCURRENCY');
/** The variable DATABASE_URL, for what needs a connection of its own, such as a `LeaderLease`. */
export const DATABASE_URL = Symbol('DATABASE_URL');

/**
 * A key of 32 bytes for keyed hashes of what the database must not show, the same in every process; derived from the first key of
 * TOKEN_KEYS, so it changes with that.
 */
export const HASH_KEY = Symbol('HASH_KEY');

/** Puts events onto the bus: `@Inject(EVENT_PUBLISHER) publisher: EventPublisher`. */
export const EVENT_PUBLISHER = Symbol('EVENT_PUBLISHER');
export type EventPublisher = Pick<EventBus, 'publish'>;

interface ConsumerResources {
  log: ProcessContext['log'];
  publisher: EventPublisher;
}

/** What the providers of every consumer may inject. */
@Module({})
class ConsumerContextModule {
  static of({ log, publisher }: ConsumerResources, environment: ConsumerEnvironment): DynamicModule {
    return {
      module: ConsumerContextModule,
      global: true,
      providers: [
        { provide: CONSUMER_LOG, useValue: log.child({ component: 'consumer' }) },
        { provide: TASK_CONCURRENCY, useValue: environment.TASK_CONCURRENCY },
        { provide: DATABASE_URL, useValue: environment.DATABASE_URL },
        { provide: HASH_KEY, useValue: deriveHashKey(environment.TOKEN_KEYS) },
        { provide: EVENT_PUBLISHER, useValue: publisher },
      ],
      exports: [CONSUMER_LOG, TASK_CONCURRENCY, DATABASE_URL, HASH_KEY, EVENT_PUBLISHER],
    };
  }
}

function deriveHashKey([first]: ConsumerEnvironment['TOKEN_KEYS']): Buffer {
  if (!first) throw new TypeError('TOKEN_KEYS is empty');
  return Buffer.from(hkdfSync('sha256', first.key, '', 'b24-relay keyed hashes', 32));
}

@Module({})
class ConsumerRoot {}

function rootModule(
  name: string,
  module: Type | DynamicModule,
  environment: ConsumerEnvironment,
  { log, publisher }: ConsumerResources,
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
      ConsumerContextModule.of({ log, publisher }, environment),
      module,
    ],
  };
}
