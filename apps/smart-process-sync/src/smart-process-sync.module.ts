import { Module } from '@nestjs/common';
import { JobsModule } from '@relay/jobs';
import { Backfill } from './backfill/backfill.js';
import { ItemsController } from './items.controller.js';
import { MirrorStore } from './mirror-store.js';
import { Comparison } from './reconcile/comparison.js';
import { RepairStep } from './reconcile/repair-step.js';
import { Reconciliation } from './reconcile/reconciliation.js';
import { PortalSyncStates } from './schedule/portal-sync-state.js';
import { Schedule } from './schedule/schedule.js';
import { SyncRunner } from './sync.runner.js';
import { Catalogues } from './types/catalogue.js';
import { SuffixedEvents } from './types/suffixed-events.js';
import { TypeRefresh } from './types/type-refresh.js';
import { TypeStore } from './types/type-store.js';
import { TypesController } from './types/types.controller.js';
import { UninstallController } from './uninstall.controller.js';
import { CastFailures } from './views/cast-failures.js';
import { ViewSynchronizer } from './views/view-synchronizer.js';
import { ViewStore } from './views/view-store.js';

@Module({
  imports: [JobsModule],
  controllers: [ItemsController, TypesController, UninstallController],
  providers: [
    Backfill,
    Catalogues,
    Comparison,
    RepairStep,
    CastFailures,
    MirrorStore,
    PortalSyncStates,
    Reconciliation,
    Schedule,
    SuffixedEvents,
    SyncRunner,
    TypeRefresh,
    TypeStore,
    ViewSynchronizer,
    ViewStore,
  ],
})
export class SmartProcessSyncModule {}
