import { Module, type DynamicModule } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { InstallsModule } from '@relay/installs';
import { JobsModule } from '@relay/jobs';
import { databaseOptions, type Environment, LeaderLease, LOG, type Log } from '@relay/platform';
import { PORTAL_ENTITIES, PortalsModule } from '@relay/portals';
import { ALLOW_HOSTS, WebhookRegistration } from './admin/webhook-registration.js';
import { SilenceWatch } from './maintenance/silence-watch.js';
import { PendingInstallsRunner } from './maintenance/pending-installs.runner.js';
import { StaleTokenRefresherRunner } from './maintenance/stale-token-refresher.runner.js';
import { EventBindingReconciler, PortalLanguages } from './subscriptions/event-binding-reconciler.js';
import { HANDLER_URL, HandlerComparison } from './subscriptions/handler-comparison.js';

/** The variables that the control plane reads. */
export const CONTROL_PLANE_VARIABLES = [
  'OPS_PORT',
  'PUBLIC_URL',
  'DATABASE_URL',
  'AMQP_URL',
  'PREVIOUS_AMQP_URL',
  'B24_CLIENT_ID',
  'B24_CLIENT_SECRET',
  'B24_OAUTH_URL',
  'B24_ALLOW_HOSTS',
  'TOKEN_KEYS',
  'OPS_TOKEN',
  'EVENT_LOG_DAYS',
  'EVENT_LOG_MAX_MB',
  'NOTIFY_URL',
  'NOTIFY_SECRET',
  'NOTIFY_ALLOW_HOSTS',
  'NOTIFY_PORTALS',
  'LOG_LEVEL',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
] as const;
export type ControlPlaneEnvironment = Pick<Environment, (typeof CONTROL_PLANE_VARIABLES)[number]>;

@Module({})
export class ControlPlaneModule {
  static forRoot(environment: ControlPlaneEnvironment, lease: LeaderLease, log: Log): DynamicModule {
    const { B24_CLIENT_ID: clientId, B24_CLIENT_SECRET: clientSecret, B24_OAUTH_URL: urls } = environment;
    // Without client keys there are no installs, only portals registered by webhook.
    const oauth = clientId && clientSecret ? { urls, clientId, clientSecret } : undefined;
    const allowHosts = environment.B24_ALLOW_HOSTS;
    return {
      module: ControlPlaneModule,
      imports: [
        TypeOrmModule.forRoot(databaseOptions(environment.DATABASE_URL, 'control-plane', PORTAL_ENTITIES)),
        PortalsModule.forRoot({
          tokenKeys: environment.TOKEN_KEYS,
          oauth,
          allowHosts,
          log,
          databaseUrl: environment.DATABASE_URL,
        }),
        JobsModule,
        InstallsModule.forRoot({ oauth, allowHosts, log }),
      ],
      providers: [
        { provide: ALLOW_HOSTS, useValue: allowHosts },
        { provide: HANDLER_URL, useValue: `${environment.PUBLIC_URL}/b24/events` },
        { provide: LeaderLease, useValue: lease },
        { provide: LOG, useValue: log },
        EventBindingReconciler,
        HandlerComparison,
        PortalLanguages,
        PendingInstallsRunner,
        SilenceWatch,
        StaleTokenRefresherRunner,
        WebhookRegistration,
      ],
    };
  }
}
