export { requireShardCount } from './postgres/shard-count.js';
export type { JournalStatus, OtherSlot, SlotContents } from './journal/journal-status.js';
export { JournalledBus, type JournalOptions } from './journal/journalled-bus.js';
export { BusTroubles } from './bus-troubles.js';
export type { FailedEntry, PortalBatch, PortalEntry } from './dispatch/batch.js';
export { decide } from './dispatch/decide.js';
export type { Decision, History, Outcome } from './dispatch/decide.js';
export type { DispatcherState } from './dispatch/dispatcher-state.js';
export type { Trials } from './dispatch/trials.js';
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
export { DatabaseTrials } from './postgres/database-trials.js';
export { busMigrations } from './postgres/migrations.js';
export { CareBusyError, messagesOf, NoSuchConsumerError } from './care/bus-care.js';
export type {
  BusCare,
  ConsumerStatus,
  Retirement,
  RetireOptions,
  TopologyPart,
  TopologyState,
  UnroutedEvents,
  UnroutedFilter,
  UnroutedReplay,
} from './care/bus-care.js';
export type { DeadLetter, DeadLetterFilter, ShownLetter } from './care/dead-letter.js';
export { DeadLetters } from './care/dead-letters.js';
export type { CareRound, LetterList, ReplayOptions } from './care/dead-letters.js';
export { BusMover } from './move/bus-mover.js';
export type { BusMoverOptions, MoveReport } from './move/bus-mover.js';
export { openBusCare } from './care/open-bus-care.js';
export type { OpenBusCareOptions } from './care/open-bus-care.js';
export { ProcessReporter } from './care/process-reports.js';
export type { ConsumerProcess, ProcessReporterOptions, ReportDatabase } from './care/process-reports.js';
export { TopologyReconciler } from './rabbitmq/topology-reconciler.js';
export type {
  Repair,
  TopologyReconcilerOptions,
  WantedSubscription,
} from './rabbitmq/topology-reconciler.js';
