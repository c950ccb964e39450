export { requireShardCount } from './postgres/shard-count.js';
export type { JournalStatus, OtherSlot, SlotContents } from './journal/journal-status.js';
export { JournalledBus, type JournalOptions } from './journal/journalled-bus.js';
export { BusHealth } from './bus-health.js';
export type { FailedEntry, PortalBatch, PortalEntry } from './scheduler/batch.js';
export { decide } from './scheduler/decide.js';
export type { Decision, History, Outcome } from './scheduler/decide.js';
export type { DispatcherState } from './scheduler/dispatcher-state.js';
export type { CrashLog } from './scheduler/crash-log.js';
export { BusClosedError, BusUnavailableError } from './event-bus.js';
export type {
  BusUnavailableCode,
  Consumption,
  ConsumeOptions,
  Delivery,
  EventBus,
  Failure,
  Receipt,
} from './event-bus.js';
export { HandlerSetupError } from './nest/event-handlers.js';
export { OnPortalEvents } from './nest/on-portal-events.decorator.js';
export { PortalEventsServer } from './nest/portal-events.server.js';
export type { PortalEventsServerOptions } from './nest/portal-events.server.js';
export { openEventBus } from './open-event-bus.js';
export type { OpenEventBusOptions } from './open-event-bus.js';
export { DatabaseCrashLog } from './postgres/database-crash-log.js';
export { BUS_MIGRATIONS } from './postgres/migrations.js';
export { countMessages } from './admin/bus-admin.js';
export { NoSuchConsumerError, OperationInProgressError } from './admin/errors.js';
export type {
  BusAdmin,
  ConsumerStatus,
  Retirement,
  RetireOptions,
  TopologyPart,
  TopologyState,
  UnroutedEvents,
  UnroutedFilter,
  UnroutedReplay,
} from './admin/bus-admin.js';
export type { DeadLetter, DeadLetterFilter, DeadLetterDetail } from './admin/dead-letter.js';
export { DeadLetters } from './admin/dead-letters.js';
export type { ReplayPage, LetterList, ReplayOptions } from './admin/dead-letters.js';
export { BusMover } from './move/bus-mover.js';
export type { BusMoverOptions, MoveReport } from './move/bus-mover.js';
export { openBusAdmin } from './admin/open-bus-admin.js';
export type { OpenBusAdminOptions } from './admin/open-bus-admin.js';
export { ProcessReporter } from './admin/process-reports.js';
export type { ConsumerProcess, ProcessReporterOptions, ReportDatabase } from './admin/process-reports.js';
export { TopologyReconciler } from './rabbitmq/topology-reconciler.js';
export type {
  Repair,
  TopologyReconcilerOptions,
  WantedSubscription,
} from './rabbitmq/topology-reconciler.js';
