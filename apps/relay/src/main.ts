import { runMain, StartupError } from '@relay/platform';
import { parseArgs } from 'node:util';
import { rotateKeys } from './keys.js';
import { OpsClient } from './ops-client.js';
import { addWebhookPair, listPortals, resumePortal, setLimit, setSettings, testPortal } from './portals.js';
import type { Report } from './report.js';
import { runSync, syncStatus } from './sync.js';

const help = `relay <command> [--json]

  portals                                       every portal, with its state
  portals test <member_id>                      has the portal send a test event, and waits for it
  portals webhook                               registers a portal by a pair of webhooks; asks for both
  portals set <member_id> <consumer> <json>     what is different at this portal for one consumer
  portals limit <member_id> <limit>             its plan's rate limit: usual, enterprise, free, or <rate>/<burst>
  portals resume <member_id>                    calls a suspended portal again, now
  sync backfill <portal>                        reads all items of a portal into the mirror once more, and shows how far it is
  sync reconcile <portal>                       compares mirror and portal, and mends what differs
  sync status <portal>                          what is being done, and what the last of each came to
  keys rotate                                   seals everything with the first key of TOKEN_KEYS

It talks to the running gateway through OPS_PORT with OPS_TOKEN.`;

interface Command {
  words: readonly string[];
  /** How many words come after these. */
  arity: number;
  run(api: OpsClient, ...rest: string[]): Promise<Report>;
}

const commands: readonly Command[] = [
  { words: ['portals', 'test'], arity: 1, run: (api, memberId = '') => testPortal(api, memberId) },
  { words: ['portals', 'webhook'], arity: 0, run: addWebhookPair },
  {
    words: ['portals', 'set'],
    arity: 3,
    run: (api, memberId = '', consumer = '', json = '') => setSettings(api, memberId, consumer, json),
  },
  {
    words: ['portals', 'limit'],
    arity: 2,
    run: (api, memberId = '', limit = '') => setLimit(api, memberId, limit),
  },
  { words: ['portals', 'resume'], arity: 1, run: (api, memberId = '') => resumePortal(api, memberId) },
  { words: ['portals'], arity: 0, run: listPortals },
  { words: ['sync', 'backfill'], arity: 1, run: (api, portal = '') => runSync(api, 'backfill', portal) },
  { words: ['sync', 'reconcile'], arity: 1, run: (api, portal = '') => runSync(api, 'reconcile', portal) },
  { words: ['sync', 'status'], arity: 1, run: (api, portal = '') => syncStatus(api, portal) },
  { words: ['keys', 'rotate'], arity: 0, run: rotateKeys },
];

await runMain('relay', async () => {
  const { values, positionals } = readArguments();
  if (values.help || positionals.length === 0) {
    process.stdout.write(`${help}\n`);
    return;
  }
  const { value, text } = await run(positionals);
  process.stdout.write(`${values.json ? JSON.stringify(value) : text}\n`);
});

/** @throws StartupError for an option that there is not */
function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : '';
    throw new StartupError(`${reason}\n\n${help}`, { cause });
  }
}

async function run(given: string[]): Promise<Report> {
  const isMeant = ({ words, arity }: Command): boolean =>
    given.length === words.length + arity && words.every((word, at) => word === given[at]);
  const command = given.includes('') ? undefined : commands.find(isMeant);
  if (!command) throw new StartupError(`There is no such command: ${given.join(' ')}\n\n${help}`);
  return command.run(OpsClient.fromEnvironment(), ...given.slice(command.words.length));
}
