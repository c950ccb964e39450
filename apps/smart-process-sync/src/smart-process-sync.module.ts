import { Module } from '@nestjs/common';
import { ItemsController } from './items.controller.js';
import { MirrorStore } from './mirror-store.js';

@Module({ controllers: [ItemsController], providers: [MirrorStore] })
export class SmartProcessSyncModule {}
