/** What a consumer process has taken from the bus and not settled yet, at one moment. */
export interface DispatcherState {
  /** Portals with work: waiting, or in a handler's hands. */
  lanes: number;
  /** Events that wait in lanes or are in handlers' hands, each counted though it was merged with others. */
  waiting: number;
  /** Batches in handlers' hands. */
  batches: number;
  /** Everything fails, and one event at a time is tried. */
  isPaused: boolean;
  /** Milliseconds since 1970: when the gateway received the oldest of them; undefined when there are none. */
  oldestAt: number | undefined;
}

/** The same with what the process does not even take. */
export interface ConsumerState extends DispatcherState {
  /** Messages that a newer version wrote: they come again until a process can read them. */
  newer: number;
}
