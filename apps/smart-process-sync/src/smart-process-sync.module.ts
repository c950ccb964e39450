import { Module } from '@nestjs/common';
import { Backfill } from './backfill/backfill.js';
import { ItemsController } from './items.controller.js';
import { MirrorStore } from './mirror-store.js';
import { Comparison } from './reconcile/compare.js';
import { Mender } from './reconcile/mender.js';
import { Reconciliation } from './reconcile/reconcile.js';
import { PortalNotesStore } from './schedule/portal-notes.js';
import { Schedule } from './schedule/schedule.js';
import { SyncRunner } from './sync.runner.js';
import { Catalogues } from './types/catalogue.js';
import { SuffixedEvents } from './types/suffixed-events.js';
import { TypeRefresh } from './types/type-refresh.js';
import { TypeStore } from './types/type-store.js';
import { TypesController } from './types/types.controller.js';
import { UninstallController } from './uninstall.controller.js';
import { Misfits } from './views/misfits.js';
import { ViewKeeper } from './views/view-keeper.js';
import { ViewStore } from './views/view-store.js';

@Module({
  controllers: [ItemsController, TypesController, UninstallController],
  providers: [
    Backfill,
    Catalogues,
    Comparison,
    Mender,
    Misfits,
    MirrorStore,
    PortalNotesStore,
    Reconciliation,
    Schedule,
    SuffixedEvents,
    SyncRunner,
    TypeRefresh,
    TypeStore,
    ViewKeeper,
    ViewStore,
  ],
})
export class SmartProcessSyncModule {}
