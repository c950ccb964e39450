import { Module, type DynamicModule } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { OAuthServers } from '@relay/bitrix24';
import type { EventBus } from '@relay/bus';
import { databaseOptions, type Environment, type Log } from '@relay/platform';
import { portalEntities, PortalPace, PortalsModule } from '@relay/portals';
import { DataSource } from 'typeorm';
import { HandlerBinder } from './bindings/handler-binder.js';
import { InstallEvent } from './bindings/install-event.js';
import { EventIntake } from './events/event-intake.js';
import { EventProof } from './events/event-proof.js';
import { EventVerifier } from './events/event-verifier.js';
import { EventsController } from './events/events.controller.js';
import { Lifecycle } from './events/lifecycle.js';
import { TestEvents } from './events/test-events.js';
import { HealthController } from './http/health.controller.js';
import { Administrators } from './installs/administrators.js';
import { ConfirmedPortals } from './installs/confirmed-portals.js';
import { IdleRenewalsRunner } from './installs/idle-renewals.runner.js';
import { InstallController } from './installs/install.controller.js';
import { Installer } from './installs/installer.js';
import { PendingInstallsRunner } from './installs/pending-installs.runner.js';
import { PortalLanguages } from './installs/portal-languages.js';
import { Proof } from './installs/proof.js';
import { Reauthorization } from './installs/reauthorization.js';
import { Settlement } from './installs/settlement.js';
import { WebhookRegistration } from './installs/webhook-registration.js';
import { AppPage } from './pages/app-page.js';
import { AppController } from './pages/app.controller.js';
import { ALLOW_HOSTS, EVENT_BUS, HANDLER_URL, LOG, OAUTH_SERVERS } from './tokens.js';

/** The variables that the gateway reads. */
export const gatewayVariables = [
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
export type GatewayEnvironment = Pick<Environment, (typeof gatewayVariables)[number]>;

@Module({})
export class GatewayModule {
  static forRoot(environment: GatewayEnvironment, bus: EventBus, log: Log): DynamicModule {
    const oauth = oauthOptions(environment);
    return {
      module: GatewayModule,
      imports: [
        TypeOrmModule.forRoot(databaseOptions(environment.DATABASE_URL, 'gateway', portalEntities)),
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
          provide: PortalPace,
          useFactory: (dataSource: DataSource) => new PortalPace(dataSource, log),
          inject: [DataSource],
        },
        EventIntake,
        EventVerifier,
        EventProof,
        Lifecycle,
        TestEvents,
        HandlerBinder,
        InstallEvent,
        Installer,
        Proof,
        Administrators,
        ConfirmedPortals,
        Settlement,
        Reauthorization,
        PendingInstallsRunner,
        IdleRenewalsRunner,
        PortalLanguages,
        WebhookRegistration,
        AppPage,
      ],
    };
  }
}

/** Without keys of an application there are no installs, only portals registered by webhook. */
function oauthOptions(environment: GatewayEnvironment) {
  const { B24_CLIENT_ID: clientId, B24_CLIENT_SECRET: clientSecret, B24_OAUTH_URL: urls } = environment;
  return clientId && clientSecret ? { urls, clientId, clientSecret } : undefined;
}
