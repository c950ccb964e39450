import { Module, type DynamicModule, type FactoryProvider, type OnModuleDestroy } from '@nestjs/common';
import type { Log, TokenKey } from '@relay/platform';
import { DataSource } from 'typeorm';
import { BindingAttempts } from './binding-attempts.js';
import { EventBindings } from './event-bindings.js';
import { ExchangeBudget } from './exchange-budget.js';
import { Notifier } from './notifier.js';
import { PortalLimits } from './pace/portal-limits.js';
import { PendingInstalls } from './pending-installs.js';
import { PortalClients } from './portal-clients.js';
import { PortalDirectory } from './portal-directory.js';
import { readPortalsFrom } from './portal-reader.js';
import { PortalList } from './portal-list.js';
import { PortalRegistry } from './portal-registry.js';
import { PortalSettings } from './portal-settings.js';
import { KeyRotation } from './keys/key-rotation.js';
import { SecretBox } from './keys/secret-box.js';
import { IdleRenewals } from './renewal/idle-renewals.js';
import { Subscriptions } from './subscriptions.js';
import { PortalWakes } from './suspension/portal-wakes.js';
import { Suspensions } from './suspension/suspensions.js';
import { PortalTasks } from './tasks/portal-tasks.js';
import { WebhookPairs } from './webhook-pairs.js';

export interface PortalsOptions {
  /** The first seals, all open. */
  tokenKeys: TokenKey[];
  /** The application's keys, and the OAuth servers that are believed; only webhooks work without. */
  oauth?: { urls: readonly string[]; clientId: string; clientSecret: string } | undefined;
  /** `host[:port]` of portals that may be plain http or private. */
  allowHosts: string[];
  log: Log;
  /** For LISTEN, which needs a connection of its own; opened when somebody first wants to hear of changes. */
  databaseUrl: string;
}

/** Stops what holds a connection; runs before the DataSource is closed. */
class Shutdown implements OnModuleDestroy {
  constructor(
    private readonly clients: PortalClients,
    private readonly directory: PortalDirectory,
    private readonly notifier: Notifier,
  ) {}

  async onModuleDestroy(): Promise<void> {
    this.directory.close();
    await this.notifier.stop();
    await this.clients.close();
  }
}

/** Everything about who is installed, for the whole application. Needs a DataSource with `portalEntities`. */
@Module({})
export class PortalsModule {
  static forRoot(options: PortalsOptions): DynamicModule {
    const box = new SecretBox(options.tokenKeys);
    const { allowHosts, log, oauth, databaseUrl } = options;
    const open: FactoryProvider[] = [
      {
        provide: PortalDirectory,
        useFactory: (dataSource: DataSource, notifier: Notifier) =>
          new PortalDirectory({ readPortals: readPortalsFrom(dataSource), notifier }),
        inject: [DataSource, Notifier],
      },
      {
        provide: PortalRegistry,
        useFactory: (dataSource: DataSource) => new PortalRegistry(dataSource, box, allowHosts, log),
        inject: [DataSource],
      },
      {
        provide: PortalSettings,
        useFactory: (dataSource: DataSource, directory: PortalDirectory) =>
          new PortalSettings(dataSource, directory, log),
        inject: [DataSource, PortalDirectory],
      },
      {
        provide: PortalList,
        useFactory: (dataSource: DataSource) => new PortalList(dataSource),
        inject: [DataSource],
      },
      {
        provide: PortalLimits,
        useFactory: (dataSource: DataSource) => new PortalLimits(dataSource),
        inject: [DataSource],
      },
      {
        provide: WebhookPairs,
        useFactory: (dataSource: DataSource, registry: PortalRegistry) =>
          new WebhookPairs(dataSource, box, registry, allowHosts),
        inject: [DataSource, PortalRegistry],
      },
      {
        provide: ExchangeBudget,
        useFactory: (dataSource: DataSource) => new ExchangeBudget(dataSource),
        inject: [DataSource],
      },
      {
        provide: PendingInstalls,
        useFactory: (dataSource: DataSource) => new PendingInstalls(dataSource, box, log),
        inject: [DataSource],
      },
      {
        provide: Subscriptions,
        useFactory: (dataSource: DataSource, notifier: Notifier) => new Subscriptions(dataSource, notifier),
        inject: [DataSource, Notifier],
      },
      {
        provide: EventBindings,
        useFactory: (dataSource: DataSource) => new EventBindings(dataSource),
        inject: [DataSource],
      },
      {
        provide: BindingAttempts,
        useFactory: (dataSource: DataSource) => new BindingAttempts(dataSource, log),
        inject: [DataSource],
      },
      {
        provide: PortalTasks,
        useFactory: (dataSource: DataSource) => new PortalTasks(dataSource),
        inject: [DataSource],
      },
      {
        provide: PortalClients,
        useFactory: (dataSource: DataSource, suspensions: Suspensions) =>
          new PortalClients({ dataSource, box, oauth, allowHosts, log, suspensions }),
        inject: [DataSource, Suspensions],
      },
      {
        provide: Suspensions,
        useFactory: (dataSource: DataSource) => new Suspensions(dataSource, log),
        inject: [DataSource],
      },
      {
        provide: PortalWakes,
        useFactory: (dataSource: DataSource) => new PortalWakes(dataSource),
        inject: [DataSource],
      },
      {
        provide: IdleRenewals,
        useFactory: (dataSource: DataSource, clients: PortalClients) =>
          new IdleRenewals(dataSource, clients, log),
        inject: [DataSource, PortalClients],
      },
      {
        provide: KeyRotation,
        useFactory: (dataSource: DataSource) => new KeyRotation(dataSource, box, log),
        inject: [DataSource],
      },
    ];
    const inside: FactoryProvider[] = [
      { provide: Notifier, useFactory: () => new Notifier({ databaseUrl, log }) },
      {
        provide: Shutdown,
        useFactory: (...parts: ConstructorParameters<typeof Shutdown>) => new Shutdown(...parts),
        inject: [PortalClients, PortalDirectory, Notifier],
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
