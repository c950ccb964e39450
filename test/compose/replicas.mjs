import { compose, docker, step, until } from './stack.mjs';

const shards = 16;
/** RabbitMQ notices at once that a process is gone; a process that starts, and each `rabbitmqctl`, takes longer. */
const takeOverTimeoutMs = 60_000;

/** The containers of name-formatter that run. */
export async function runningReplicas() {
  const { stdout } = await compose('ps', '-q', '--status', 'running', 'name-formatter');
  return stdout.trim().split('\n');
}

/** Each replica is the active consumer of a part of the 16 shards. @param {number} replicas */
export async function shareTheWork(replicas) {
  const beganAt = Date.now();
  /** @type {number[]} */
  let shares = [];
  await until(takeOverTimeoutMs, async () => {
    shares = await shardsOfReplicas();
    const taken = shares.reduce((sum, share) => sum + share, 0);
    return shares.length === replicas && taken === shards
      ? undefined
      : `${shares.length} of ${replicas} replicas have work, and ${taken} of ${shards} shards a replica`;
  });
  const seconds = ((Date.now() - beganAt) / 1_000).toFixed(1);
  console.log(`compose: no replica is idle: ${shares.join('/')} of ${shards} shards, ${seconds} s later`);
}

/** How many shards each replica that has any is the active consumer of. */
async function shardsOfReplicas() {
  const list = ['list_consumers', 'queue_name', 'channel_pid', 'active', '--formatter', 'json'];
  const { stdout } = await compose('exec', '-T', 'rabbitmq', 'rabbitmqctl', '-q', ...list);
  /** @type {{ queue_name: string, channel_pid: string, active: boolean }[]} */
  const consumers = JSON.parse(stdout);
  /** @type {Map<string, number>} */
  const shares = new Map();
  for (const { queue_name, channel_pid, active } of consumers) {
    if (!active || !queue_name.startsWith('b24.name-formatter.')) continue;
    shares.set(channel_pid, (shares.get(channel_pid) ?? 0) + 1);
  }
  return [...shares.values()];
}

/**
 * Three replicas, of which one is stopped, started again, and another one killed, while contacts change at all portals.
 * @param {import('./changes.mjs').Changes} changes
 */
export async function takeOverFromEachOther(changes) {
  const [first = '', second = ''] = await runningReplicas();
  await shareTheWork(3);
  changes.start();
  try {
    await changes.areHandled('with three replicas');

    await step('one replica is stopped', docker('stop', first));
    await changes.areHandled('after it was stopped');
    await shareTheWork(2);

    await step('it is started again', docker('start', first));
    await shareTheWork(3);
    await changes.areHandled('after it was started again');

    await step('another one is killed', docker('kill', second));
    await changes.areHandled('after that');
    await shareTheWork(2);
  } finally {
    await changes.stop();
  }
  await changes.areAllRight();
  console.log(
    `compose: each of ${await changes.stop()} contacts that were changed meanwhile is well written`,
  );
}
