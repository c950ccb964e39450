import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Command, mayHaveRun, PortalClient, webhookTokens, writeAll } from '@relay/bitrix24';
import { z } from 'zod';
import { ERROR_KINDS, NETWORK_FAULT_KINDS } from '../apps/portal-simulator/src/faults/faults.js';
import { startTestSimulator } from '@relay/testing';
import { SimulatedPortal } from './support/simulated-portal.js';
import { control } from './support/simulator-control.js';

/** Of the kind `slow` answers come after a second. */
const TIMEOUT_MS = 500;
const tasks = z.array(z.unknown());
const command: Command = {
  method: 'tasks.task.add',
  params: { fields: { TITLE: 'Call', RESPONSIBLE_ID: 1 } },
};

/** Rejections that can also be the end of a method which has begun. */
const CRASHES: readonly string[] = ['500', 'unexpected'];
const rejections = ERROR_KINDS.filter((kind) => !CRASHES.includes(kind)).map((kind) => ({ kind }));
const breaks = [
  ...CRASHES.map((kind) => ({ kind })),
  ...NETWORK_FAULT_KINDS.map((kind) => ({ kind })),
  // What redirects has run nothing.
  ...NETWORK_FAULT_KINDS.filter((kind) => kind !== 'redirect').map((kind) => ({ kind, worked: true })),
  ...[403, 413, 429, 500, 504].map((status) => ({ kind: 'html', status })),
];

interface Failure {
  mayHaveRun: boolean;
  error: unknown;
}

/** The fault of a portal, and whether the client's error admits what the portal did. */
describe('what the client says of an addition that failed', () => {
  let simulator: Awaited<ReturnType<typeof startTestSimulator>>;
  let portal: SimulatedPortal;
  let client: PortalClient;

  beforeAll(async () => {
    simulator = await startTestSimulator();
    portal = await SimulatedPortal.create(simulator.url, 'adding', { rate: 1_000, burst: 100_000 });
    client = new PortalClient({
      memberId: portal.memberId,
      tokens: webhookTokens(portal.webhookUrl),
      allowHosts: [new URL(simulator.url).host],
      timeoutMs: TIMEOUT_MS,
    });
  });
  afterAll(() => simulator.close());

  const url = (path: string): string => `${simulator.url}/_sim/portals/adding/${path}`;
  const countTasks = async (): Promise<number> => tasks.parse(await control('GET', url('tasks'))).length;

  async function failureOf(how: 'call' | 'writeAll'): Promise<Failure | undefined> {
    if (how === 'call') return client.call(command.method, command.params).then(() => undefined, failed);
    const [outcome] = await writeAll(client, [{ entity: 'task', command }]);
    return outcome?.[1].ok === false ? failed(outcome[1].error) : undefined;
  }

  async function addDespite(how: 'call' | 'writeAll', fault: object) {
    const before = await countTasks();
    await control('POST', url('faults'), { match: command.method, ...fault });
    const failure = await failureOf(how);
    await portal.clearFaults();
    return { added: (await countTasks()) - before, failure };
  }

  describe.each(['call', 'writeAll'] as const)('by %s', (how) => {
    it.each(rejections)('is that it has not run, where the portal rejects it: $kind', async (fault) => {
      const { added, failure } = await addDespite(how, fault);
      expect(added).toBe(0);
      expect(failure).toEqual({ mayHaveRun: false, error: expect.anything() });
    });

    it.each(breaks)('is that it may have run, if it has: %j', async (fault) => {
      const { added, failure } = await addDespite(how, fault);
      expect([0, 1]).toContain(added);
      expect(failure).toBeDefined();
      expect({ added, mayHaveRun: failure?.mayHaveRun }).not.toEqual({ added: 1, mayHaveRun: false });
    });
  });
});

function failed(error: unknown): Failure {
  return { mayHaveRun: mayHaveRun(error), error };
}
