import type { ConsumerOptions } from '@relay/consumer';
import { mirrorSettings, SmartProcessSyncModule } from './smart-process-sync.module.js';

export const consumer: ConsumerOptions = {
  name: 'smart-process-sync',
  module: SmartProcessSyncModule,
  settings: mirrorSettings,
};
