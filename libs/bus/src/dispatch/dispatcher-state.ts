/** What a consumer process has taken from the bus and not settled yet, at one moment. */
export interface DispatcherState {
  /** Portals with work: waiting, or in a handler's hands. */
  lanes: number;
  /** Events that wait in lanes, each counted though it was merged with others. */
  waiting: number;
  /** Batches in handlers' hands. */
  batches: number;
  /** Everything fails, and one event at a time is tried. */
  isPaused: boolean;
  /** Milliseconds since 1970: when the gateway received the oldest event that waits; undefined when none does. */
  oldestAt: number | undefined;
}
