/** What a consumer process has taken from the bus and not settled yet, at one moment. */
export interface DispatcherState {
  /** Portals with work, waiting or in flight. */
  lanes: number;
  /** Events that wait in lanes or are in flight, each counted although merged with others. */
  waiting: number;
  /** Batches in flight. */
  batches: number;
  /** The circuit breaker is open: one event at a time is tried. */
  isPaused: boolean;
  /** Unix time in milliseconds at which the gateway received the oldest of them; undefined when there are none. */
  oldestAt: number | undefined;
}

/** The dispatcher state, with messages that the process does not take. */
export interface ConsumerState extends DispatcherState {
  /** Messages written by a newer version: they are redelivered until a process can read them. */
  newer: number;
}
