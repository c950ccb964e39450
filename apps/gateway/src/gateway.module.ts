import { Controller, Get, Module, type DynamicModule } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { InstallsModule } from '@relay/installs';
import { JobsModule } from '@relay/jobs';
import { databaseOptions, type Environment, LOG, type Log } from '@relay/platform';
import {
  PORTAL_ENTITIES,
  PortalCache,
  PortalClients,
  PortalRateLimiter,
  PortalsModule,
} from '@relay/portals';
import { DataSource } from 'typeorm';
import { ArrivalRecorder } from './ingress/arrival-recorder.js';
import { EventAuthenticator } from './ingress/event-authenticator.js';
import { EVENT_BUS, EventIngress, type EventPublisher } from './ingress/event-ingress.js';
import { EventsController } from './ingress/events.controller.js';
import { HANDLER_URL, InstallController, InstallEvent } from './installs/install.controller.js';
import { Reauthorization } from './ingress/reauthorization.js';
import { FrameAuthenticator } from './portal-page/frame-authenticator.js';
import { FramedPage, PageFilesController } from './portal-page/framed-page.js';
import { PortalPageApiController } from './portal-page/portal-page-api.controller.js';
import { PortalPageController } from './portal-page/portal-page.controller.js';
import { PortalPageService, PortalReads } from './portal-page/portal-page.service.js';

/** The variables that the gateway reads. */
export const GATEWAY_VARIABLES = [
  'PORT',
  'OPS_PORT',
  'PUBLIC_URL',
  'DATABASE_URL',
  'AMQP_URL',
  'DATA_DIR',
  'B24_CLIENT_ID',
  'B24_CLIENT_SECRET',
  'B24_OAUTH_URL',
  'B24_ALLOW_HOSTS',
  'TOKEN_KEYS',
  'EVENT_LOG_DAYS',
  'LOG_LEVEL',
  'TRUST_PROXY',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
] as const;
export type GatewayEnvironment = Pick<Environment, (typeof GATEWAY_VARIABLES)[number]>;

/** The only health endpoint on the public port; readiness and metrics are on the ops port. */
@Controller('health')
class HealthController {
  @Get('live')
  live(): { status: string } {
    return { status: 'live' };
  }
}

@Module({})
export class GatewayModule {
  static forRoot(environment: GatewayEnvironment, bus: EventPublisher, log: Log): DynamicModule {
    const { B24_CLIENT_ID: clientId, B24_CLIENT_SECRET: clientSecret, B24_OAUTH_URL: urls } = environment;
    // Without client keys there are no installs, only portals registered by webhook.
    const oauth = clientId && clientSecret ? { urls, clientId, clientSecret } : undefined;
    const allowHosts = environment.B24_ALLOW_HOSTS;
    return {
      module: GatewayModule,
      imports: [
        TypeOrmModule.forRoot(databaseOptions(environment.DATABASE_URL, 'gateway', PORTAL_ENTITIES)),
        PortalsModule.forRoot({
          tokenKeys: environment.TOKEN_KEYS,
          oauth,
          allowHosts,
          log,
          databaseUrl: environment.DATABASE_URL,
        }),
        InstallsModule.forRoot({ oauth, allowHosts, log }),
        JobsModule,
      ],
      controllers: [
        EventsController,
        InstallController,
        PortalPageController,
        PortalPageApiController,
        PageFilesController,
        HealthController,
      ],
      providers: [
        { provide: EVENT_BUS, useValue: bus },
        { provide: HANDLER_URL, useValue: `${environment.PUBLIC_URL}/b24/events` },
        { provide: LOG, useValue: log },
        EventIngress,
        EventAuthenticator,
        ArrivalRecorder,
        InstallEvent,
        Reauthorization,
        { provide: FramedPage, useFactory: () => new FramedPage() },
        PortalReads,
        PortalPageService,
        {
          provide: FrameAuthenticator,
          useFactory: (cache: PortalCache, clients: PortalClients, dataSource: DataSource) =>
            new FrameAuthenticator(cache, clients, new PortalRateLimiter(dataSource, log), allowHosts),
          inject: [PortalCache, PortalClients, DataSource],
        },
      ],
    };
  }
}
