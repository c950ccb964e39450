import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { RunnableCheckout, type RunningCommand } from './checkout.js';
import { PageBlocks } from './page-blocks.js';

jest.setTimeout(240_000);

const DEAL = 2;
const dealTasksSpec = readFileSync(join(import.meta.dirname, 'deal-tasks.spec.ts.template'), 'utf8');
const TITLE_SPEC = `
import { expect, it } from '@jest/globals';
import { titleWithArea } from './title-with-area.js';

it('has the area that the portal gives', () => {
  expect(titleWithArea({ id: 1, title: 'A flat', ufCrm_1721244707107: 40.5 })).toBe('A flat (40.5 m²)');
  expect(titleWithArea({ id: 1, title: 'A flat', ufCrm_1721244707107: '40 m²' })).toBe('A flat');
});
`;

/** Ports, ids and times differ. */
const withoutNumbers = (line: string): string => line.replace(/\d+/g, '0');

describe('docs/writing-a-consumer.md', () => {
  const page = new PageBlocks(join(import.meta.dirname, '../../docs/writing-a-consumer.md'));
  const checkout = new RunnableCheckout();
  let system: RunningCommand;

  beforeAll(() => checkout.choosePorts());
  afterAll(() => checkout.end());

  /** A block that shows a whole file is that file from then on. */
  function writeFile(file: string): void {
    const path = `apps/deal-notifier/src/${file}`;
    const text = page.take('ts', `// ${path}\n`);
    writeFileSync(join(checkout.path, path), text.slice(text.indexOf('\n') + 1));
  }

  function writeSpec(file: string, text: string): void {
    writeFileSync(join(checkout.path, 'apps/deal-notifier/src', file), text);
  }

  /** @returns what the linter and the compiler say against it */
  async function complaints(): Promise<string> {
    const bin = (name: string): string => join(checkout.path, 'node_modules', name);
    const node = process.execPath;
    const lint = await checkout.run(node, bin('oxlint/bin/oxlint'), '--deny-warnings', 'apps/deal-notifier');
    writeFileSync(
      join(checkout.path, 'tsconfig.walk.json'),
      JSON.stringify({ extends: './tsconfig.json', include: ['apps/deal-notifier/src'] }),
    );
    const types = await checkout.run(node, bin('typescript/bin/tsc'), '--noEmit', '-p', 'tsconfig.walk.json');
    return `${lint.code === 0 ? '' : lint.stdout}${types.code === 0 ? '' : types.stdout}`;
  }

  /** @returns the development loop of a block, and the lines that the block shows of it */
  function startLoop(): { loop: RunningCommand; lines: string[] } {
    const [command = '', ...lines] = page.take('console', '$ npm run dev').trimEnd().split('\n');
    const loop = checkout.start('sh', '-ec', `exec ${command.replace(/^\$ /, '')}`);
    return { loop, lines: lines.map((line) => withoutNumbers(line.slice('12:00:00  '.length))) };
  }

  it('makes the consumer', async () => {
    const make = page.take('sh', 'npm run new:consumer');
    expect(await checkout.run('sh', '-ec', make)).toMatchObject({ code: 0, stderr: '' });
  });

  it('fills it in with code that compiles and keeps the rules of the house', async () => {
    for (const file of [
      'settings.ts',
      'handled-entities.ts',
      'deal-notifier.controller.ts',
      'deal-notifier.controller.spec.ts',
      'deal-tasks.ts',
    ])
      writeFile(file);
    writeSpec('deal-tasks.spec.ts', dealTasksSpec);
    expect(await complaints()).toBe('');
  });

  it('passes its spec', async () => {
    const { code, stderr } = await checkout.run('sh', '-ec', page.take('sh', 'npm run jest'));
    expect(stderr).toContain('PASS apps/deal-notifier/src/deal-notifier.controller.spec.ts');
    expect(stderr).toContain('PASS apps/deal-notifier/src/deal-tasks.spec.ts');
    expect(code).toBe(0);
  });

  it('runs in the development loop, which starts the system', async () => {
    const { loop, lines } = startLoop();
    await loop.shows('deal-notifier takes events');
    // Until then no event comes of a new deal.
    await eventually(() => expect(checkout.log()).toMatch(/ONCRMDEALADD.*"msg":"events bound"/), {
      timeoutMs: 45_000,
    });
    await checkout.addItem(DEAL, { title: 'Lamps', opportunity: '2000' });
    await loop.shows('ONCRMDEALADD');
    expect(loop.linesOfDev().map(withoutNumbers)).toEqual(lines);
    await loop.stop();
  });

  it('has the types of user fields, which a portal gives', async () => {
    system = checkout.start('npm', 'start');
    await system.shows('Ctrl-C');
    await checkout.addUserField(DEAL, { type: 'double', fieldName: 'UF_CRM_1721244707107', label: 'Area' });
    const generate = page.take('sh', 'npm run --silent relay -- types generate demo');
    expect(await checkout.inNewTerminal(generate)).toEqual({ code: 0, screen: '' });
    writeFile('title-with-area.ts');
    writeSpec('title-with-area.spec.ts', TITLE_SPEC.trimStart());
    expect(await complaints()).toBe('');
    const { code, stderr } = await checkout.run('npm', 'run', 'jest', '--', 'title-with-area');
    expect([stderr, code]).toEqual([expect.stringContaining('1 passed'), 0]);
  });

  it('registers a consumer in another language', async () => {
    // What a deployment has as a command, as docs/operating.md says.
    const relay = 'relay() { npm run --silent relay -- "$@"; }\n';
    const register = page.take('sh', 'relay consumer register');
    expect(await checkout.inNewTerminal(relay + register)).toEqual({
      code: 0,
      screen: expect.stringContaining('deal-mailer gets ONCRMDEALADD, ONCRMDEALUPDATE: its queues are there'),
    });
    const queues = await checkout.inNewTerminal(`${relay}relay queues`);
    expect(queues).toMatchObject({ code: 0, screen: expect.stringContaining('deal-mailer') });
    expect(await checkout.inNewTerminal(`${relay}relay consumer retire deal-mailer`)).toMatchObject({
      screen: expect.stringContaining('deal-mailer is retired'),
    });
  });

  it('runs in the development loop beside npm start, and again after a change', async () => {
    const { loop, lines } = startLoop();
    await system.shows('deal-notifier is run by npm run dev from now on');
    // What comes while nobody runs it is one batch.
    await Promise.all(
      ['Desks', 'Chairs', 'Shelves'].map((title) =>
        checkout.addItem(DEAL, { title, opportunity: '2000', assignedById: '1' }),
      ),
    );
    await loop.shows('ONCRMDEALADD');
    const shown = loop.screen().length;
    appendFileSync(join(checkout.path, 'apps/deal-notifier/src/settings.ts'), '// A change.\n');
    await loop.shows('deal-notifier takes events', shown);
    // The portal keeps events in a queue of its own, too, which is read at some other time.
    const own = loop.linesOfDev().filter((line) => !line.includes(' from the offline queue: '));
    expect(own.map(withoutNumbers)).toEqual(lines);
    await loop.stop();
    await system.shows('deal-notifier is not run by npm run dev any more');
  });

  it('is taken away and retired', async () => {
    const [remove = '', retire = ''] = page.take('sh', 'npm run remove:consumer').trimEnd().split('\n');
    const tooEarly = await checkout.inNewTerminal(retire);
    expect(tooEarly).toMatchObject({ code: 1 });
    expect(tooEarly.screen).toContain('npm run remove:consumer, then start it again');
    await system.stop();
    expect(await checkout.run('sh', '-ec', remove)).toMatchObject({ code: 0, stderr: '' });
    const again = checkout.start('npm', 'start');
    await again.shows('Ctrl-C');
    expect(await checkout.inNewTerminal(retire)).toEqual({
      code: 0,
      screen: expect.stringContaining('deal-notifier is retired: its queues are deleted.'),
    });
    expect(Object.keys(checkout.contents()).filter((name) => name.startsWith('apps/deal-notifier'))).toEqual(
      [],
    );
  });

  it('has no block that was not run', () => expect(page.left()).toEqual([]));
});
