import { Module } from '@nestjs/common';
import { JobsModule } from '@relay/jobs';
import { CatchUp } from './catch-up.js';
import { PullerRunner } from './puller.runner.js';
import { SignalController } from './signal.controller.js';
import { Visitor } from './visitor.js';
import { VisitStore } from './visit-store.js';

@Module({
  imports: [JobsModule],
  controllers: [SignalController],
  providers: [CatchUp, PullerRunner, Visitor, VisitStore],
})
export class OfflinePullerModule {}
