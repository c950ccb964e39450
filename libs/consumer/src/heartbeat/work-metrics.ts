import { gauge } from '@relay/platform';
import type { DispatcherState } from '../scheduler/dispatcher.js';

type StateReader = () => DispatcherState | undefined;

/** By consumer: several may share a process. */
const readers = new Map<string, StateReader>();

const gauges = [
  createWorkGauge(
    'relay_bus_lanes',
    'Portals with work in this process: waiting, or in a handler’s hands',
    ({ lanes }) => lanes,
  ),
  createWorkGauge(
    'relay_bus_waiting_events',
    'Events that wait in this process for their portal’s turn, or are in a handler’s hands',
    ({ waiting }) => waiting,
  ),
  createWorkGauge('relay_bus_batches_in_hand', 'Batches in handlers’ hands', ({ batches }) => batches),
  createWorkGauge(
    'relay_bus_paused',
    '1 while everything fails, and one event at a time is tried',
    ({ isPaused }) => (isPaused ? 1 : 0),
  ),
  createWorkGauge(
    'relay_bus_oldest_waiting_seconds',
    'How long ago the gateway received the oldest event that this process holds; 0 when none does',
    ({ oldestAt }) => (oldestAt === undefined ? 0 : Math.max(0, Date.now() - oldestAt) / 1_000),
  ),
];

/**
 * Reads the state only at each scrape, since it visits everything that waits. @returns a function that unregisters it
 */
export function registerWorkMetrics(consumer: string, look: StateReader): () => void {
  readers.set(consumer, look);
  return () => {
    readers.delete(consumer);
    for (const shown of gauges) shown.remove({ consumer });
  };
}

function createWorkGauge(name: string, help: string, read: (work: DispatcherState) => number) {
  const shown = gauge({
    name,
    help,
    labelNames: ['consumer'],
    collect: () => {
      for (const [consumer, look] of readers) {
        const work = look();
        if (work) shown.set({ consumer }, read(work));
      }
    },
  });
  return shown;
}
