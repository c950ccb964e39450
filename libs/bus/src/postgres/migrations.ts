import { CreateBus1764000000100 } from './migrations/1764000000100-create-bus.js';
import { FixShardCount1764600000100 } from './migrations/1764600000100-fix-shard-count.js';
import { CreateTrials1764700000100 } from './migrations/1764700000100-create-trials.js';
import { CreateConsumerProcesses1765100000100 } from './migrations/1765100000100-create-consumer-processes.js';
import { ReportNewer1766100000600 } from './migrations/1766100000600-report-newer.js';
import { LeaseShards1766100000610 } from './migrations/1766100000610-lease-shards.js';
import { WeighUnrouted1766100000620 } from './migrations/1766100000620-weigh-unrouted.js';

/** Outside the folder, because `npm run migrate` treats every export of a file in it as a migration. */
export const BUS_MIGRATIONS = [
  CreateBus1764000000100,
  FixShardCount1764600000100,
  CreateTrials1764700000100,
  CreateConsumerProcesses1765100000100,
  ReportNewer1766100000600,
  LeaseShards1766100000610,
  WeighUnrouted1766100000620,
];
