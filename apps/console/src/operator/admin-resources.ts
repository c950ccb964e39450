/** What every view needs: the tab's title says it, whichever view is open. */
import type {
  ConsumersResponse,
  JournalsResponse,
  PortalSearchResponse,
  SyncResponse,
  TopologyResponse,
  UnroutedResponse,
} from '@relay/admin-contract';
import { computed, watch } from 'vue';
import { findingsIn } from './attention.js';
import { ConsumerTrends } from './consumer-trend.js';
import { usePoll } from './poll.js';

/** The broker is asked for every queue, or the database for every event. */
const SLOW_POLL_MS = 15_000;

export type AdminResources = ReturnType<typeof useAdminResources>;

export function useAdminResources() {
  const consumers = usePoll<ConsumersResponse>(() => '/consumers');
  const portals = usePoll<PortalSearchResponse>(() => '/portals/search?state=attention&limit=20');
  const sync = usePoll<SyncResponse>(() => '/sync');
  const journal = usePoll<JournalsResponse>(() => '/journal');
  const topology = usePoll<TopologyResponse>(() => '/topology', { everyMs: SLOW_POLL_MS });
  const unrouted = usePoll<UnroutedResponse>(() => '/unrouted', { everyMs: SLOW_POLL_MS });
  const findings = computed(() =>
    findingsIn({
      consumers: consumers.data.value?.consumers,
      portals: portals.data.value,
      sync: sync.data.value,
      journal: journal.data.value,
      topology: topology.data.value?.topology,
      unrouted: unrouted.data.value?.unrouted,
    }),
  );
  const trends = new ConsumerTrends();
  watch(consumers.data, (read) => {
    for (const { consumer, waiting, inHand, processes } of read?.consumers ?? [])
      trends.add(consumer, { backlog: waiting + inHand, processes }, performance.now());
  });
  return { trends, consumers, portals, sync, journal, topology, unrouted, findings };
}
