import { Module, type DynamicModule, type INestMicroservice, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { openEventBus, PortalEventsServer, requireShardCount } from '@relay/bus';
import {
  type AppHost,
  databaseOptions,
  type Environment,
  type Log,
  NestLogger,
  ownProcess,
  requireDatabase,
} from '@relay/platform';
import { portalEntities, PortalsModule, Subscriptions } from '@relay/portals';
import { ConsumerLogModule } from './consumer-log.js';

/** The variables that every consumer reads. */
export const consumerVariables = [
  'OPS_PORT',
  'DATABASE_URL',
  'AMQP_URL',
  'B24_CLIENT_ID',
  'B24_CLIENT_SECRET',
  'B24_OAUTH_URL',
  'B24_ALLOW_HOSTS',
  'TOKEN_KEYS',
  'LOG_LEVEL',
] as const;
export type ConsumerEnvironment = Pick<Environment, (typeof consumerVariables)[number]>;

export interface ConsumerOptions {
  /** Names its queues, so it must stay the same: lower case letters, digits and hyphens. */
  name: string;
  /** The app's own module: its controllers have methods under `@OnPortalEvents`. */
  module: Type | DynamicModule;
}

export interface RunningConsumer {
  /** Takes no more events, finishes the batches in hand, then closes bus and database. */
  close(): Promise<void>;
}

/**
 * Starts one consumer: its queues are declared and bound first, then its events are recorded, from which the gateway
 * binds them at every portal. Resolves when it takes events and its ops server listens.
 */
export async function startConsumer(
  { name, module }: ConsumerOptions,
  environment: ConsumerEnvironment,
  host: AppHost = ownProcess(name, environment),
): Promise<RunningConsumer> {
  const { log } = host;
  let ready: PortalEventsServer | undefined;
  // First, for what is away is waited for: whoever asks meanwhile hears `live` and `not ready`.
  await host.openOps({ bus: () => ready?.isReady() ?? false });
  await requireDatabase(environment.DATABASE_URL, log);
  await requireShardCount(environment.DATABASE_URL);
  const bus = await openEventBus({
    amqpUrl: environment.AMQP_URL,
    databaseUrl: environment.DATABASE_URL,
    log,
  });
  const server = new PortalEventsServer({
    bus,
    consumer: name,
    log,
    onSubscribed: (names) => app.get(Subscriptions).record(name, names),
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
  await app.listen();
  log.info({ opsPort: environment.OPS_PORT }, `${name} takes events`);
  return {
    close: async () => {
      await app.close();
      await host.closeOps();
      await bus.close();
      log.info({}, `${name} stopped`);
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
      TypeOrmModule.forRoot(databaseOptions(environment.DATABASE_URL, name, portalEntities)),
      PortalsModule.forRoot({
        tokenKeys: environment.TOKEN_KEYS,
        oauth:
          clientId && clientSecret ? { url: environment.B24_OAUTH_URL, clientId, clientSecret } : undefined,
        allowHosts: environment.B24_ALLOW_HOSTS,
        log,
        databaseUrl: environment.DATABASE_URL,
      }),
      ConsumerLogModule.of(log),
      module,
    ],
  };
}
