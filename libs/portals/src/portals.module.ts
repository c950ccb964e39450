import { Module, type DynamicModule, type FactoryProvider, type OnModuleDestroy } from '@nestjs/common';
import type { Log, TokenKey } from '@relay/platform';
import { DataSource } from 'typeorm';
import { EventBindingAttempts } from './subscriptions/event-binding-attempts.js';
import { DriftChecks } from './subscriptions/drift-checks.js';
import { EventBindings } from './subscriptions/event-bindings.js';
import { OfflineBindings } from './subscriptions/offline-bindings.js';
import { TokenRequestBudget } from './installs/token-request-budget.js';
import { EventArrivals } from './reachability/event-arrivals.js';
import { EventGaps } from './reachability/event-gaps.js';
import { Reachability } from './reachability/reachability.js';
import { PostgresListener } from './database/postgres-listener.js';
import { PortalLimits } from './rate-limit/portal-limits.js';
import { PendingInstalls } from './installs/pending-installs.js';
import { PortalClients } from './portal-clients.js';
import { PortalCache } from './cache/portal-cache.js';
import { loadPortalsFrom } from './cache/portal-loader.js';
import { CorrectionCounts } from './repository/correction-counts.js';
import { PortalQuery } from './repository/portal-query.js';
import { PortalRepository } from './repository/portal-repository.js';
import { PortalSettings } from './repository/portal-settings.js';
import { KeyRotation } from './encryption/key-rotation.js';
import { SecretBox } from './encryption/secret-box.js';
import { StaleTokenRefresher } from './token-refresh/stale-token-refresher.js';
import { Subscriptions } from './subscriptions/subscriptions.js';
import { PortalWakes } from './suspension/portal-wakes.js';
import { PortalCircuitBreaker } from './suspension/portal-circuit-breaker.js';
import { WebhookPairs } from './installs/webhook-pairs.js';

interface PortalsOptions {
  /** The first encrypts, all decrypt. */
  tokenKeys: TokenKey[];
  /** The application's keys and the trusted OAuth servers; without them only webhooks work. */
  oauth?: { urls: readonly string[]; clientId: string; clientSecret: string } | undefined;
  /** `host[:port]` of portals that may be plain http or private. */
  allowHosts: string[];
  log: Log;
  /** For LISTEN, which needs a connection of its own; opened by the first listener. */
  databaseUrl: string;
}

/** Closes connections and waits for token refreshes, before the DataSource is closed. */
class Shutdown implements OnModuleDestroy {
  constructor(
    private readonly clients: PortalClients,
    private readonly portalCache: PortalCache,
    private readonly postgresListener: PostgresListener,
  ) {}

  async onModuleDestroy(): Promise<void> {
    this.portalCache.close();
    await this.postgresListener.stop();
    await this.clients.close();
  }
}

/** Providers of this lib for the whole application. Needs a DataSource with `PORTAL_ENTITIES`. */
@Module({})
export class PortalsModule {
  static forRoot(options: PortalsOptions): DynamicModule {
    const box = new SecretBox(options.tokenKeys);
    const { allowHosts, log, oauth, databaseUrl } = options;
    const open: FactoryProvider[] = [
      {
        provide: PortalCache,
        useFactory: (dataSource: DataSource, postgresListener: PostgresListener) =>
          new PortalCache({ readPortals: loadPortalsFrom(dataSource), postgresListener }),
        inject: [DataSource, PostgresListener],
      },
      {
        provide: PortalRepository,
        useFactory: (dataSource: DataSource) => new PortalRepository(dataSource, box, allowHosts, log),
        inject: [DataSource],
      },
      {
        provide: PortalSettings,
        useFactory: (dataSource: DataSource, portalCache: PortalCache) =>
          new PortalSettings(dataSource, portalCache, log),
        inject: [DataSource, PortalCache],
      },
      {
        provide: PortalQuery,
        useFactory: (dataSource: DataSource) => new PortalQuery(dataSource),
        inject: [DataSource],
      },
      {
        provide: CorrectionCounts,
        useFactory: (dataSource: DataSource) => new CorrectionCounts(dataSource),
        inject: [DataSource],
      },
      {
        provide: PortalLimits,
        useFactory: (dataSource: DataSource) => new PortalLimits(dataSource),
        inject: [DataSource],
      },
      {
        provide: WebhookPairs,
        useFactory: (dataSource: DataSource, portalRepository: PortalRepository) =>
          new WebhookPairs(dataSource, box, portalRepository, allowHosts),
        inject: [DataSource, PortalRepository],
      },
      {
        provide: TokenRequestBudget,
        useFactory: (dataSource: DataSource) => new TokenRequestBudget(dataSource),
        inject: [DataSource],
      },
      {
        provide: PendingInstalls,
        useFactory: (dataSource: DataSource) => new PendingInstalls(dataSource, box, log),
        inject: [DataSource],
      },
      {
        provide: Subscriptions,
        useFactory: (dataSource: DataSource, postgresListener: PostgresListener) =>
          new Subscriptions(dataSource, postgresListener),
        inject: [DataSource, PostgresListener],
      },
      {
        provide: EventBindings,
        useFactory: (dataSource: DataSource) => new EventBindings(dataSource),
        inject: [DataSource],
      },
      {
        provide: OfflineBindings,
        useFactory: (dataSource: DataSource) => new OfflineBindings(dataSource),
        inject: [DataSource],
      },
      {
        provide: DriftChecks,
        useFactory: (dataSource: DataSource) => new DriftChecks(dataSource),
        inject: [DataSource],
      },
      {
        provide: EventArrivals,
        useFactory: (dataSource: DataSource) => new EventArrivals(dataSource),
        inject: [DataSource],
      },
      {
        provide: Reachability,
        useFactory: (dataSource: DataSource) => new Reachability(dataSource),
        inject: [DataSource],
      },
      {
        provide: EventGaps,
        useFactory: (dataSource: DataSource) => new EventGaps(dataSource),
        inject: [DataSource],
      },
      {
        provide: EventBindingAttempts,
        useFactory: (dataSource: DataSource) => new EventBindingAttempts(dataSource, log),
        inject: [DataSource],
      },
      {
        provide: PortalClients,
        useFactory: (dataSource: DataSource, circuitBreaker: PortalCircuitBreaker) =>
          new PortalClients({ dataSource, box, oauth, allowHosts, log, circuitBreaker }),
        inject: [DataSource, PortalCircuitBreaker],
      },
      {
        provide: PortalCircuitBreaker,
        useFactory: (dataSource: DataSource) => new PortalCircuitBreaker(dataSource, log),
        inject: [DataSource],
      },
      {
        provide: PortalWakes,
        useFactory: (dataSource: DataSource) => new PortalWakes(dataSource),
        inject: [DataSource],
      },
      {
        provide: StaleTokenRefresher,
        useFactory: (dataSource: DataSource, clients: PortalClients) =>
          new StaleTokenRefresher(dataSource, clients, log),
        inject: [DataSource, PortalClients],
      },
      {
        provide: KeyRotation,
        useFactory: (dataSource: DataSource) => new KeyRotation(dataSource, box, log),
        inject: [DataSource],
      },
    ];
    const inside: FactoryProvider[] = [
      { provide: PostgresListener, useFactory: () => new PostgresListener({ databaseUrl, log }) },
      {
        provide: Shutdown,
        useFactory: (...parts: ConstructorParameters<typeof Shutdown>) => new Shutdown(...parts),
        inject: [PortalClients, PortalCache, PostgresListener],
      },
    ];
    return {
      module: PortalsModule,
      global: true,
      providers: [...open, ...inside],
      exports: open.map(({ provide }) => provide),
    };
  }
}
