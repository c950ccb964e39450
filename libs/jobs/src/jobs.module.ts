import { Module } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { PortalJobs } from './portal-jobs.js';

/** The job queue for the whole application. Needs a DataSource. */
@Module({
  providers: [
    {
      provide: PortalJobs,
      useFactory: (dataSource: DataSource) => new PortalJobs(dataSource),
      inject: [DataSource],
    },
  ],
  exports: [PortalJobs],
})
export class JobsModule {}
