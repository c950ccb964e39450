import { Module } from '@nestjs/common';
import { JobsModule } from '@relay/jobs';
import { CatchUp } from './catch-up.js';
import { PullerRunner } from './puller.runner.js';
import { SignalController } from './signal.controller.js';
import { QueuePoller } from './queue-poller.js';
import { PollStateStore } from './poll-state-store.js';

@Module({
  imports: [JobsModule],
  controllers: [SignalController],
  providers: [CatchUp, PullerRunner, QueuePoller, PollStateStore],
})
export class OfflinePullerModule {}
