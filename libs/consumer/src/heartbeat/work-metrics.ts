import { gauge } from '@relay/platform';
import type { DispatcherState } from '../scheduler/dispatcher.js';

type StateReader = () => DispatcherState | undefined;

/** By consumer: several may share a process. */
const readers = new Map<string, StateReader>();

const gauges = [
  createWorkGauge(
    'relay_bus_lanes',
    'Portals with work in this process, waiting or in flight',
    ({ lanes }) => lanes,
  ),
  createWorkGauge(
    'relay_bus_waiting_events',
    'Events that wait in the lanes of this process or are in flight',
    ({ waiting }) => waiting,
  ),
  createWorkGauge('relay_bus_batches_in_hand', 'Batches in flight', ({ batches }) => batches),
  createWorkGauge(
    'relay_bus_paused',
    '1 while the circuit breaker is open: every batch fails, and one event at a time is tried',
    ({ isPaused }) => (isPaused ? 1 : 0),
  ),
  createWorkGauge(
    'relay_bus_oldest_waiting_seconds',
    'How long ago the gateway received the oldest event that this process holds; 0 when none does',
    ({ oldestAt }) => (oldestAt === undefined ? 0 : Math.max(0, Date.now() - oldestAt) / 1_000),
  ),
];

/** Reads the state at each scrape. @returns a function that unregisters it */
export function registerWorkMetrics(consumer: string, read: StateReader): () => void {
  readers.set(consumer, read);
  return () => {
    readers.delete(consumer);
    for (const each of gauges) each.remove({ consumer });
  };
}

function createWorkGauge(name: string, help: string, read: (state: DispatcherState) => number) {
  const created = gauge({
    name,
    help,
    labelNames: ['consumer'],
    collect: () => {
      for (const [consumer, stateOf] of readers) {
        const state = stateOf();
        if (state) created.set({ consumer }, read(state));
      }
    },
  });
  return created;
}
