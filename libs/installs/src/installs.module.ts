import { Module, type DynamicModule, type FactoryProvider } from '@nestjs/common';
import { OAuthServers } from '@relay/bitrix24';
import { JobsModule, PortalJobs } from '@relay/jobs';
import type { Log } from '@relay/platform';
import {
  EventBindings,
  TokenRequestBudget,
  PendingInstalls,
  PortalCache,
  PortalRateLimiter,
  USER_AGENT,
  PortalRepository,
} from '@relay/portals';
import { DataSource } from 'typeorm';
import { EventBindingRequests } from './event-binding-requests.js';
import { AdministratorCheck, InstallApplier } from './install-applier.js';
import { InstallStore } from './install-store.js';
import { InstallVerifier } from './install-verifier.js';
import { Installer } from './installer.js';

interface InstallsOptions {
  /** The application's keys, and the OAuth servers that are believed; without them no claim can be verified. */
  oauth: { urls: readonly string[]; clientId: string; clientSecret: string } | undefined;
  allowHosts: readonly string[];
  log: Log;
}

/** Verifies claimed installs and applies them. Needs PortalsModule. */
@Module({})
export class InstallsModule {
  static forRoot({ oauth, allowHosts, log }: InstallsOptions): DynamicModule {
    const open: FactoryProvider[] = [
      {
        provide: EventBindingRequests,
        useFactory: (jobs: PortalJobs, bindings: EventBindings) =>
          new EventBindingRequests(jobs, bindings, log),
        inject: [PortalJobs, EventBindings],
      },
      {
        provide: InstallVerifier,
        useFactory: () =>
          new InstallVerifier(
            oauth && new OAuthServers({ ...oauth, allowHosts, userAgent: USER_AGENT }),
            log,
          ),
      },
      {
        provide: InstallStore,
        useFactory: (repository: PortalRepository, cache: PortalCache) =>
          new InstallStore(repository, cache, log),
        inject: [PortalRepository, PortalCache],
      },
      {
        provide: InstallApplier,
        useFactory: (store: InstallStore, bindings: EventBindingRequests, dataSource: DataSource) => {
          const administrators = new AdministratorCheck(allowHosts, new PortalRateLimiter(dataSource, log));
          return new InstallApplier(store, bindings, administrators, log);
        },
        inject: [InstallStore, EventBindingRequests, DataSource],
      },
      {
        provide: Installer,
        useFactory: (
          repository: PortalRepository,
          cache: PortalCache,
          pending: PendingInstalls,
          budget: TokenRequestBudget,
          verifier: InstallVerifier,
          applier: InstallApplier,
        ) => new Installer(log, repository, cache, pending, budget, verifier, applier),
        inject: [
          PortalRepository,
          PortalCache,
          PendingInstalls,
          TokenRequestBudget,
          InstallVerifier,
          InstallApplier,
        ],
      },
    ];
    return {
      module: InstallsModule,
      imports: [JobsModule],
      providers: open,
      exports: open.map(({ provide }) => provide),
    };
  }
}
