import { Module, type DynamicModule } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { OAuthServers } from '@relay/bitrix24';
import type { EventBus } from '@relay/bus';
import { JobsModule } from '@relay/jobs';
import { databaseOptions, type Environment, type Log } from '@relay/platform';
import { PORTAL_ENTITIES, PortalRateLimiter, PortalsModule } from '@relay/portals';
import { DataSource } from 'typeorm';
import { EventBindingReconciler } from './subscriptions/event-binding-reconciler.js';
import { InstallEvent } from './subscriptions/install-event.js';
import { EventIngress } from './events/event-ingress.js';
import { EventAuthenticator } from './events/event-authenticator.js';
import { EventsController } from './events/events.controller.js';
import { TestEvents } from './events/test-events.js';
import { HealthController } from './http/health.controller.js';
import { Administrators } from './installs/administrators.js';
import { InstallStore } from './installs/install-store.js';
import { StaleTokenRefresherRunner } from './installs/stale-token-refresher.runner.js';
import { InstallController } from './installs/install.controller.js';
import { Installer } from './installs/installer.js';
import { PendingInstallsRunner } from './installs/pending-installs.runner.js';
import { PortalLanguages } from './installs/portal-languages.js';
import { InstallVerifier } from './installs/install-verifier.js';
import { Reauthorization } from './installs/reauthorization.js';
import { InstallApplier } from './installs/install-applier.js';
import { WebhookRegistration } from './installs/webhook-registration.js';
import { AppPage } from './pages/app-page.js';
import { AppController } from './pages/app.controller.js';
import { ALLOW_HOSTS, EVENT_BUS, HANDLER_URL, LOG, OAUTH_SERVERS } from './tokens.js';

/** The variables that the gateway reads. */
export const GATEWAY_VARIABLES = [
  'PORT',
  'OPS_PORT',
  'PUBLIC_URL',
  'DATABASE_URL',
  'AMQP_URL',
  'PREVIOUS_AMQP_URL',
  'DATA_DIR',
  'B24_CLIENT_ID',
  'B24_CLIENT_SECRET',
  'B24_OAUTH_URL',
  'B24_ALLOW_HOSTS',
  'TOKEN_KEYS',
  'OPS_TOKEN',
  'LOG_LEVEL',
  'TRUST_PROXY',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
] as const;
export type GatewayEnvironment = Pick<Environment, (typeof GATEWAY_VARIABLES)[number]>;

@Module({})
export class GatewayModule {
  static forRoot(environment: GatewayEnvironment, bus: EventBus, log: Log): DynamicModule {
    const oauth = oauthOptions(environment);
    return {
      module: GatewayModule,
      imports: [
        TypeOrmModule.forRoot(databaseOptions(environment.DATABASE_URL, 'gateway', PORTAL_ENTITIES)),
        JobsModule,
        PortalsModule.forRoot({
          tokenKeys: environment.TOKEN_KEYS,
          oauth,
          allowHosts: environment.B24_ALLOW_HOSTS,
          log,
          databaseUrl: environment.DATABASE_URL,
        }),
      ],
      controllers: [EventsController, InstallController, AppController, HealthController],
      providers: [
        { provide: ALLOW_HOSTS, useValue: environment.B24_ALLOW_HOSTS },
        { provide: EVENT_BUS, useValue: bus },
        { provide: HANDLER_URL, useValue: `${environment.PUBLIC_URL}/b24/events` },
        { provide: LOG, useValue: log },
        {
          provide: OAUTH_SERVERS,
          useValue: oauth && new OAuthServers({ ...oauth, allowHosts: environment.B24_ALLOW_HOSTS }),
        },
        {
          provide: PortalRateLimiter,
          useFactory: (dataSource: DataSource) => new PortalRateLimiter(dataSource, log),
          inject: [DataSource],
        },
        EventIngress,
        EventAuthenticator,
        TestEvents,
        EventBindingReconciler,
        InstallEvent,
        Installer,
        InstallVerifier,
        Administrators,
        InstallStore,
        InstallApplier,
        Reauthorization,
        PendingInstallsRunner,
        StaleTokenRefresherRunner,
        PortalLanguages,
        WebhookRegistration,
        AppPage,
      ],
    };
  }
}

/** Without client keys there are no installs, only portals registered by webhook. */
function oauthOptions(environment: GatewayEnvironment) {
  const { B24_CLIENT_ID: clientId, B24_CLIENT_SECRET: clientSecret, B24_OAUTH_URL: urls } = environment;
  return clientId && clientSecret ? { urls, clientId, clientSecret } : undefined;
}
