import 'reflect-metadata';
import { runConsumer } from '@relay/consumer';
import { NameFormatterModule } from './name-formatter.module.js';

await runConsumer({ name: 'name-formatter', module: NameFormatterModule });
