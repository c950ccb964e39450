import type { Log } from '@relay/platform';
import { ConfirmedPublisher } from '../confirmed-publisher.js';

/** No caller waits for a single message of a replay. */
const REPLAY_DEADLINE_MS = 10_000;

/** Publishes to existing queues on its own connection, and declares nothing. The caller closes it. */
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
