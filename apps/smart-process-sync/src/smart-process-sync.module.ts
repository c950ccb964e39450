import { Module } from '@nestjs/common';
import { Backfill } from './backfill/backfill.js';
import { ItemsController } from './items.controller.js';
import { MirrorStore } from './mirror-store.js';
import { Comparison } from './reconcile/compare.js';
import { Reconciliation } from './reconcile/reconcile.js';
import { PortalNotesStore } from './schedule/portal-notes.js';
import { Schedule } from './schedule/schedule.js';
import { SyncRunner } from './sync.runner.js';
import { SuffixedEvents } from './types/suffixed-events.js';
import { TypeRefresh } from './types/type-refresh.js';
import { TypeStore } from './types/type-store.js';
import { TypesController } from './types/types.controller.js';
import { UninstallController } from './uninstall.controller.js';
import { Misfits } from './views/misfits.js';
import { ViewStore } from './views/view-store.js';

@Module({
  controllers: [ItemsController, TypesController, UninstallController],
  providers: [
    Backfill,
    Comparison,
    Misfits,
    MirrorStore,
    PortalNotesStore,
    Reconciliation,
    Schedule,
    SuffixedEvents,
    SyncRunner,
    TypeRefresh,
    TypeStore,
    ViewStore,
  ],
})
export class SmartProcessSyncModule {}
