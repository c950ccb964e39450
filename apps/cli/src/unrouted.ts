import { z } from 'zod';
import { formatTable } from './table.js';
import type { GivenOptions } from './command.js';
import { formatAge, parseTime } from './duration.js';
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
    `${formatAge(lastAt)} ago`,
  ]);
  return { value: unrouted, text: formatTable(['event', 'events', 'portals', 'last'], rows) };
}

const replayed = z.object({ replayed: z.number(), left: z.number() });

/** Replays the events to which consumers subscribe by now; the others stay. */
export async function replayUnrouted(
  api: OpsClient,
  { portal, since, until }: GivenOptions,
): Promise<Report> {
  const filter = {
    portal,
    since: since === undefined ? undefined : parseTime(since),
    until: until === undefined ? undefined : parseTime(until),
  };
  const answer = replayed.parse(await api.send('POST', '/unrouted/replay', filter));
  const rest =
    answer.left > 0 ? `, ${answer.left} stay: nobody subscribes to them, or they are not meant` : '';
  return { value: answer, text: `${answer.replayed} are with their consumers now${rest}.` };
}
