export { requireShardCount } from './postgres/shard-count.js';
export { BusHealth } from './bus-health.js';
export { BusClosedError, DEFAULT_PREFETCH, BusUnavailableError } from './event-bus.js';
export type {
  BusUnavailableCode,
  Consumption,
  ConsumeOptions,
  Delivery,
  EventBus,
  Failure,
  Receipt,
} from './event-bus.js';
export { openEventBus } from './open-event-bus.js';
export type { OpenEventBusOptions } from './open-event-bus.js';
export { BUS_MIGRATIONS } from './postgres/migrations.js';
export { countMessages } from './admin/bus-admin.js';
export { NoSuchConsumerError } from './admin/dead-letter.js';
export { OperationInProgressError } from './admin/operator-lock.js';
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
export type { LetterList } from './admin/dead-letters.js';
export type { ReplayOptions, ReplayPage } from './admin/replay-session.js';
export { BusMover } from './move/bus-mover.js';
export type { BusMoverOptions, MoveReport } from './move/bus-mover.js';
export type { ConsumerProcess } from './admin/reported-processes.js';
export { openBusAdmin } from './admin/open-bus-admin.js';
export type { OpenBusAdminOptions } from './admin/open-bus-admin.js';
export { TopologyReconciler } from './rabbitmq/topology-reconciler.js';
export type {
  Repair,
  TopologyReconcilerOptions,
  WantedSubscription,
} from './rabbitmq/topology-reconciler.js';
export { waitAtMost } from './backoff.js';
export { deferred } from './deferred.js';
export { toFailure } from './failure.js';
export { DEFAULT_RETRY_DELAYS_MS } from './retry-delays.js';
export { failSpan, inSpan, withCurrentTrace } from './spans.js';
export { UnackedDelivery } from './unacked-delivery.js';
/** The events of the contract: whoever knows the bus needs no other lib for them. */
export { formatEventName, parseEventName, type FormTree, type PortalEvent } from '@relay/events';
