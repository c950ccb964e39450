import type { Log } from '@relay/platform';
import { ConfirmedPublisher } from '../confirmed-publisher.js';

/** Nobody waits for one message of a replay in particular. */
const REPLAY_DEADLINE_MS = 10_000;

/** Puts messages into queues that stand, on a connection of its own, and makes nothing. Whoever opens it closes it. */
export async function openReplayPublisher(url: string, log: Log): Promise<ConfirmedPublisher> {
  const publisher = new ConfirmedPublisher({
    url,
    name: 'replay',
    log,
    deadlineMs: REPLAY_DEADLINE_MS,
    declare: async () => undefined,
  });
  await publisher.start();
  return publisher;
}
