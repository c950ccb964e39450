import 'reflect-metadata';
import { runConsumer } from '@relay/consumer';
import { consumer } from './consumer.js';

await runConsumer(consumer);
