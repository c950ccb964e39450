import { runMain, StartupError } from '@relay/platform';
import { parseArgs } from 'node:util';
import { OpsClient } from './ops-client.js';
import { addWebhookPair, listPortals, setSettings, testPortal, type Report } from './portals.js';

const help = `relay <command> [--json]

  portals                                       every portal, with its state
  portals test <member_id>                      has the portal send a test event, and waits for it
  portals webhook                               registers a portal by a pair of webhooks; asks for both
  portals set <member_id> <consumer> <json>     what is different at this portal for one consumer

It talks to the running gateway through OPS_PORT with OPS_TOKEN.`;

await runMain('relay', async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help || positionals.length === 0) {
    process.stdout.write(`${help}\n`);
    return;
  }
  const { value, text } = await run(positionals);
  process.stdout.write(`${values.json ? JSON.stringify(value) : text}\n`);
});

async function run(words: string[]): Promise<Report> {
  const [noun, verb, ...rest] = words;
  if (noun === 'portals' && verb === undefined) return listPortals(OpsClient.fromEnvironment());
  if (noun === 'portals' && verb === 'webhook' && rest.length === 0) {
    return addWebhookPair(OpsClient.fromEnvironment());
  }
  const [memberId, consumer, json] = rest;
  if (noun === 'portals' && verb === 'test' && memberId && rest.length === 1) {
    return testPortal(OpsClient.fromEnvironment(), memberId);
  }
  if (noun === 'portals' && verb === 'set' && memberId && consumer && json && rest.length === 3) {
    return setSettings(OpsClient.fromEnvironment(), memberId, consumer, json);
  }
  throw new StartupError(`There is no such command: ${words.join(' ')}\n\n${help}`);
}
