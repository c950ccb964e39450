import { Module } from '@nestjs/common';
import { ItemsController } from './items.controller.js';
import { MirrorStore } from './mirror-store.js';
import { UninstallController } from './uninstall.controller.js';

@Module({ controllers: [ItemsController, UninstallController], providers: [MirrorStore] })
export class SmartProcessSyncModule {}
