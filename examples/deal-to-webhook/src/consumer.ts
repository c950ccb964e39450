import type { ConsumerOptions } from '@relay/consumer';
import { DealToWebhookModule } from './deal-to-webhook.module.js';
import { NAME, settingsSchema } from './settings.js';

export const consumer: ConsumerOptions = {
  name: NAME,
  module: DealToWebhookModule,
  settings: settingsSchema,
};
