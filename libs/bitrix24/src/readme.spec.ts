import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type ReceivedRequest, Peer, type Reply } from '../test/peer.js';
import { sentCommands } from '../test/sent.js';

const README = join(import.meta.dirname, '../README.md');

let peer: Peer;
let folder: string;
let said: unknown[][];

beforeEach(async () => {
  peer = await Peer.start();
  folder = await mkdtemp(join(tmpdir(), 'b24-readme-'));
  said = [];
  for (const to of ['log', 'error'] as const) {
    jest.spyOn(console, to).mockImplementation((...words: unknown[]) => void said.push(words));
  }
  process.env['B24_WEBHOOK'] = `${peer.url}/rest/1/s3cret/`;
  process.env['B24_ALLOW_HOSTS'] = peer.host;
});
afterEach(async () => {
  delete process.env['B24_WEBHOOK'];
  delete process.env['B24_ALLOW_HOSTS'];
  jest.restoreAllMocks();
  await rm(folder, { recursive: true });
  await peer.stop();
});

async function exampleIn(readme: string): Promise<string> {
  const [, example] = /```ts\n([^]*?)```/.exec(await readFile(readme, 'utf8')) ?? [];
  if (example === undefined) throw new Error('there is no example');
  return example;
}

async function run(example: string): Promise<void> {
  const file = join(folder, 'example.ts');
  await writeFile(file, example);
  await import(pathToFileURL(file).href);
}

function portal(received: ReceivedRequest): Reply {
  if (received.path.endsWith('/crm.item.list')) {
    return {
      body: {
        result: {
          items: [
            { id: 1, title: 'First deal' },
            { id: 2, title: 'Second deal' },
          ],
        },
      },
    };
  }
  const [key = ''] = sentCommands(received).keys();
  const items = [{ id: 82, name: 'Ada', lastName: 'Lovelace' }];
  return { body: { result: { result: { [key]: { items } } } } };
}

describe('the example', () => {
  it('has about fifteen lines', async () => {
    const lines = (await exampleIn(README)).split('\n').filter((line) => line !== '');
    expect(lines.length).toBeLessThanOrEqual(15);
  });

  it('works as described', async () => {
    peer.answer = portal;
    await run(await exampleIn(README));

    expect(said).toEqual([[1, 'First deal'], [2, 'Second deal'], ['Lovelace']]);
    expect(peer.received.map(({ path }) => path)).toEqual([
      '/rest/1/s3cret/crm.item.list',
      '/rest/1/s3cret/batch',
    ]);
  });

  it('reports errors', async () => {
    peer.answer = () => ({ status: 401, body: { error: 'NO_AUTH_FOUND' } });
    await run(await exampleIn(README));

    expect(said).toEqual([['NO_AUTH_FOUND from crm.item.list (HTTP 401)', 'reauthorize']]);
  });
});
