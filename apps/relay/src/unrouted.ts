import { z } from 'zod';
import { columns } from './columns.js';
import { ageOf } from './moments.js';
import type { OpsClient } from './ops-client.js';
import type { Report } from './report.js';

const counted = z.object({
  unrouted: z.array(
    z.object({ name: z.string(), events: z.number(), portals: z.number(), lastAt: z.string() }),
  ),
});

export async function listUnrouted(api: OpsClient): Promise<Report> {
  const { unrouted } = counted.parse(await api.send('GET', '/unrouted'));
  if (unrouted.length === 0) {
    return { value: unrouted, text: 'Every event that came is one that a consumer subscribes to.' };
  }
  const rows = unrouted.map(({ name, events, portals, lastAt }) => [
    name,
    events,
    portals,
    `${ageOf(lastAt)} ago`,
  ]);
  return { value: unrouted, text: columns(['event', 'events', 'portals', 'last'], rows) };
}
