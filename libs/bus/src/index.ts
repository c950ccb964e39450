export { requireShardCount } from './postgres/shard-count.js';
export { JournalledBus, type JournalOptions } from './journal/journalled-bus.js';
export type { FailedEntry, PortalBatch, PortalEntry } from './dispatch/batch.js';
export type { Trials } from './dispatch/trials.js';
export { decide } from './dispatch/decide.js';
export type { Decision, History, Outcome } from './dispatch/decide.js';
export type { DispatcherState } from './dispatch/dispatcher-state.js';
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
