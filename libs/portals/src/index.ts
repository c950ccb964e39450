export { hasApplicationToken } from './application-token.js';
export { BindingAttempts, ClaimLostError } from './binding-attempts.js';
export type { BindingClaim } from './binding-attempts.js';
export { portalEntities } from './entities.js';
export type {
  ApplicationTokenKind,
  BindingState,
  PortalState,
  ShownPortalState,
  TaskState,
} from './entities.js';
export { DirectoryUnavailableError, PortalError } from './errors.js';
export type { PortalErrorCode } from './errors.js';
export { EventBindings } from './event-bindings.js';
export type { BindingReport, EventNotOffered } from './event-bindings.js';
export { ExchangeBudget } from './exchange-budget.js';
export type { Admission, OfferedProof } from './exchange-budget.js';
export { inTransaction } from './in-transaction.js';
export { KeyRotation } from './keys/key-rotation.js';
export type { RotationReport } from './keys/key-rotation.js';
export { portalMigrations } from './migrations.js';
export { PortalLimits } from './pace/portal-limits.js';
export type { GivenLimit, PortalLimit } from './pace/portal-limits.js';
export { PortalPace } from './pace/portal-pace.js';
export { PendingInstalls } from './pending-installs.js';
export type { ClaimOutcome, PendingClaim, WaitingInstall } from './pending-installs.js';
export { PortalClients } from './portal-clients.js';
export { PortalDirectory } from './portal-directory.js';
export type { KnownPortal } from './portal-reader.js';
export { PortalList } from './portal-list.js';
export type { ListedPortal } from './portal-list.js';
export { PortalRegistry } from './portal-registry.js';
export { IdleRenewals } from './renewal/idle-renewals.js';
export type { IdleRenewalsReport } from './renewal/idle-renewals.js';
export { PortalSettings } from './portal-settings.js';
export type { SettingsOf } from './portal-settings.js';
export { PortalsModule } from './portals.module.js';
export type { PortalsOptions } from './portals.module.js';
export { activeSubscriptions, Subscriptions } from './subscriptions.js';
export type { ActiveSubscription } from './subscriptions.js';
export type { SuspensionReason } from './suspension/reasons.js';
export { PortalWakes } from './suspension/portal-wakes.js';
export { Suspensions } from './suspension/suspensions.js';
export { PortalTasks } from './tasks/portal-tasks.js';
export type { PortalTask, TaskOverview, TaskProgress } from './tasks/portal-tasks.js';
export { TaskRunner } from './tasks/task-runner.js';
export type { TaskHandler, TaskRun, TaskRunnerOptions } from './tasks/task-runner.js';
export { WebhookPairs } from './webhook-pairs.js';
export type { WaitingPair } from './webhook-pairs.js';
