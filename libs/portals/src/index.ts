export { hasApplicationToken } from './application-token.js';
export { BindingAttempts, ClaimLostError } from './binding-attempts.js';
export type { BindingClaim } from './binding-attempts.js';
export { PORTAL_ENTITIES } from './entities.js';
export type {
  ApplicationTokenKind,
  BindingState,
  PortalState,
  ShownPortalState,
  TaskState,
} from './entities.js';
export { PortalStoreUnavailableError, PortalError } from './errors.js';
export type { PortalErrorCode } from './errors.js';
export { EventBindings } from './event-bindings.js';
export type { BindingReport, EventNotOffered } from './event-bindings.js';
export { ExchangeBudget } from './exchange-budget.js';
export type { Admission, OfferedProof } from './exchange-budget.js';
export { inTransaction } from './in-transaction.js';
export { KeyRotation } from './encryption/key-rotation.js';
export type { RotationReport } from './encryption/key-rotation.js';
export { PortalLimits } from './rate-limit/portal-limits.js';
export type { GivenLimit, PortalLimit } from './rate-limit/portal-limits.js';
export { PortalRateLimiter } from './rate-limit/portal-rate-limiter.js';
export { PendingInstalls } from './pending-installs.js';
export type { ClaimOutcome, PendingClaim, WaitingInstall } from './pending-installs.js';
export { PortalClients } from './portal-clients.js';
export { PortalCache } from './portal-cache.js';
export type { KnownPortal } from './portal-loader.js';
export { PortalQuery } from './portal-query.js';
export type { ListedPortal } from './portal-query.js';
export { PortalRepository } from './portal-repository.js';
export { StaleTokenRefresher } from './token-refresh/stale-token-refresher.js';
export type { StaleTokenReport } from './token-refresh/stale-token-refresher.js';
export { PortalSettings } from './portal-settings.js';
export type { SettingsOf } from './portal-settings.js';
export { PortalsModule } from './portals.module.js';
export type { PortalsOptions } from './portals.module.js';
export { activeSubscriptions, Subscriptions } from './subscriptions.js';
export type { ActiveSubscription } from './subscriptions.js';
export type { SuspensionReason } from './suspension/reasons.js';
export { PortalWakes } from './suspension/portal-wakes.js';
export { Suspensions } from './suspension/suspensions.js';
export { PortalJobs } from './jobs/portal-jobs.js';
export type { PortalJob, JobOverview, JobProgress } from './jobs/portal-jobs.js';
export { JobRunner } from './jobs/job-runner.js';
export type { JobHandler, JobRun, JobRunnerOptions } from './jobs/job-runner.js';
export { WebhookPairs } from './webhook-pairs.js';
export type { WaitingPair } from './webhook-pairs.js';
