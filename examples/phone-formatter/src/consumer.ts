import type { ConsumerOptions } from '@relay/consumer';
import { PhoneFormatterModule } from './phone-formatter.module.js';
import { NAME, settingsSchema } from './settings.js';

export const consumer: ConsumerOptions = {
  name: NAME,
  module: PhoneFormatterModule,
  settings: settingsSchema,
};
