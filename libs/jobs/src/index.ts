export { JobsModule } from './portal-jobs.js';
export { PortalJobs, UnknownPortalError } from './portal-jobs.js';
export type { PortalJob, JobFreshness, JobProgress } from './portal-jobs.js';
export { JobRunner, JobYieldedError } from './job-runner.js';
export type { JobHandler, JobRun } from './job-runner.js';
