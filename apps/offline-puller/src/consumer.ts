import type { ConsumerOptions } from '@relay/consumer';
import { OFFLINE_PULLER } from '@relay/portals';
import { OfflinePullerModule } from './offline-puller.module.js';

export const consumer: ConsumerOptions = { name: OFFLINE_PULLER, module: OfflinePullerModule };
