import type { ConsumerOptions } from '@relay/consumer';
import { nameSettings } from '@relay/names';
import { NameFormatterModule } from './name-formatter.module.js';

export const consumer: ConsumerOptions = {
  name: 'name-formatter',
  module: NameFormatterModule,
  settings: nameSettings,
};
