import { Module } from '@nestjs/common';
import { JobsModule } from '@relay/jobs';
import { Backfill } from './backfill/backfill.js';
import { SuffixedEvents } from './backfill/suffixed-events.js';
import { TypeRefresh } from './backfill/type-refresh.js';
import { ItemsController } from './items.controller.js';
import { MirrorStore } from './items/mirror-store.js';
import { Comparison, RepairStep } from './reconcile/repair-step.js';
import { Reconciliation } from './reconcile/reconciliation.js';
import { PortalSyncStateStore } from './schedule/portal-sync-state-store.js';
import { Schedule } from './schedule/schedule.js';
import { SyncRunner } from './sync.runner.js';
import { Catalogues } from './smart-process-types/catalogue.js';
import { TypeStore } from './smart-process-types/type-store.js';
import { TypesController } from './types.controller.js';
import { UninstallController } from './uninstall.controller.js';
import { CastFailures } from './views/cast-failures.js';
import { ViewSynchronizer } from './views/view-synchronizer.js';
import { ViewStore } from './views/view-store.js';

export { mirrorSettings } from './smart-process-types/settings.js';

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
    PortalSyncStateStore,
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
