import 'reflect-metadata';
import { runConsumer } from '@relay/consumer';
import { mirrorSettings, SmartProcessSyncModule } from './smart-process-sync.module.js';

await runConsumer({ name: 'smart-process-sync', module: SmartProcessSyncModule, settings: mirrorSettings });
