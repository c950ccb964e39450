import 'reflect-metadata';
import { runConsumer } from '@relay/consumer';
import { nameSettings } from './settings.js';
import { NameFormatterModule } from './name-formatter.module.js';

await runConsumer({ name: 'name-formatter', module: NameFormatterModule, settings: nameSettings });
