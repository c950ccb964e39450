import { FixShardCount1764600000100 } from './migrations/1764600000100-fix-shard-count.js';
import { CreateTrials1764700000100 } from './migrations/1764700000100-create-trials.js';
import { CreateBus1764000000100 } from './migrations/1764000000100-create-bus.js';

/** Kept outside the folder: `npm run migrate` takes every export of a file in there for a migration. */
export const busMigrations = [CreateBus1764000000100, FixShardCount1764600000100, CreateTrials1764700000100];
