export { describeBus } from './asyncapi.js';
export { requireShardCount } from './admin/shared-tables.js';
export { explainConnectionError } from './connection/explain-connection-error.js';
export { BusHealth } from './connection/connection-report.js';
export { DEFAULT_PREFETCH, BusUnavailableError } from './contract/event-bus.js';
export type {
  Consumption,
  ConsumeOptions,
  Delivery,
  EventBus,
  Failure,
  Receipt,
} from './contract/event-bus.js';
export { openEventBus } from './open-bus.js';
export { NoSuchConsumerError } from './admin/dead-letter-store.js';
export { OperationInProgressError } from './admin/operator-lock.js';
export type { BusAdmin, ConsumerStatus, Retirement, RetireOptions } from './admin/bus-admin.js';
export type { DeadLetter, DeadLetterFilter } from './admin/dead-letter-store.js';
export { sortByDueTime } from './admin/waiting-retries.js';
export type { WaitingRetry } from './admin/waiting-retries.js';
export type { DeadLetterGroup } from './admin/dead-letter-groups.js';
export type { ReplayPage } from './admin/replay-session.js';
export { BusMover } from './move/bus-mover.js';
export { openBusAdmin } from './open-bus.js';
export { inspectBroker } from './rabbitmq/admin/broker-report.js';
export { TopologyReconciler } from './rabbitmq/admin/topology-reconciler.js';
export { toFailure } from './contract/failure.js';
export { DEFAULT_RETRY_DELAYS_MS, tierFor } from './contract/retry-delays.js';
export { failSpan, withCurrentTrace } from './contract/instrumentation.js';
/** The event types of the contract, so that users of the bus need no other lib. */
export {
  type BaseEventName,
  type BoundEventName,
  carriesMoreThanKey,
  type EventData,
  type EventName,
  findDataMismatch,
  formatEventName,
  namesEntity,
  parseEventName,
  type FormTree,
  type PortalEvent,
} from '@relay/events';
