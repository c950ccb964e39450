import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { RunnableCheckout } from './checkout.js';

jest.setTimeout(240_000);

const page = readFileSync(join(import.meta.dirname, '../../docs/writing-a-consumer.md'), 'utf8');
const [, walk = ''] = /^## Ten minutes.*?$([^]*?)^## /m.exec(page) ?? [];
const blocks = [...walk.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].map(([, kind = '', text = '']) => ({
  kind,
  text,
}));
/** Also those after the walk. */
const files = [...page.matchAll(/^```ts\n(\/\/ apps\/deal-notifier\/[^]*?)^```$/gm)].map(
  ([, text = '']) => text,
);
const dealTasksSpec = readFileSync(join(import.meta.dirname, 'deal-tasks.spec.ts.template'), 'utf8');
const [make = '', test = '', retire = ''] = blocks
  .filter(({ kind }) => kind === 'sh')
  .map(({ text }) => text);
const [dev = ''] = blocks.filter(({ kind }) => kind === 'console').map(({ text }) => text);

/** Ports, ids and times differ. */
const withoutNumbers = (line: string): string => line.replace(/\d+/g, '0');

describe('the walk of docs/writing-a-consumer.md', () => {
  const checkout = new RunnableCheckout();

  beforeAll(() => checkout.choosePorts());
  afterAll(() => checkout.end());

  it('has no block that is not run here', () => {
    expect(blocks.map(({ kind }) => kind)).toEqual(['sh', 'ts', 'ts', 'ts', 'ts', 'sh', 'console', 'sh']);
  });

  it('makes the consumer', async () => {
    expect(await checkout.run('sh', '-ec', make)).toMatchObject({ code: 0, stderr: '' });
  });

  it('fills it in with code that compiles and keeps the rules of the house', async () => {
    for (const text of files) {
      const [, file = '', code = ''] = /^\/\/ (apps\/deal-notifier\/\S+)\n([^]*)$/.exec(text) ?? [];
      writeFileSync(join(checkout.path, file), code);
    }
    writeFileSync(join(checkout.path, 'apps/deal-notifier/src/deal-tasks.spec.ts'), dealTasksSpec);
    const bin = (name: string): string => join(checkout.path, 'node_modules', name);
    const node = process.execPath;
    const lint = await checkout.run(node, bin('oxlint/bin/oxlint'), '--deny-warnings', 'apps/deal-notifier');
    expect(lint).toMatchObject({ code: 0 });
    writeFileSync(
      join(checkout.path, 'tsconfig.walk.json'),
      JSON.stringify({ extends: './tsconfig.json', include: ['apps/deal-notifier/src'] }),
    );
    const types = await checkout.run(node, bin('typescript/bin/tsc'), '--noEmit', '-p', 'tsconfig.walk.json');
    expect(types).toMatchObject({ code: 0, stdout: '' });
  });

  it('passes its spec', async () => {
    const { code, stderr } = await checkout.run('sh', '-ec', test);
    expect(stderr).toContain('PASS apps/deal-notifier/src/deal-notifier.controller.spec.ts');
    expect(stderr).toContain('PASS apps/deal-notifier/src/deal-tasks.spec.ts');
    expect(code).toBe(0);
  });

  it('runs in the development loop, is retired and taken away', async () => {
    const [command = '', ...lines] = dev.trimEnd().split('\n');
    const loop = checkout.start('sh', '-ec', `exec ${command.replace(/^\$ /, '')}`);
    await loop.shows('deal-notifier takes events');
    // Until then no event comes of a new deal.
    await eventually(() => expect(checkout.log()).toMatch(/ONCRMDEALADD.*"msg":"events bound"/), {
      timeoutMs: 45_000,
    });
    await checkout.addItem(2, { title: 'Lamps', opportunity: '2000' });
    await loop.shows('ONCRMDEALADD');
    expect(loop.linesOfDev().map(withoutNumbers)).toEqual(
      lines.map((line) => withoutNumbers(line.slice('12:00:00  '.length))),
    );

    const [remove = '', takeOff = ''] = retire.trimEnd().split('\n');
    const tooEarly = checkout.start('sh', '-ec', takeOff);
    expect(await tooEarly.ended()).toBe(1);
    expect(tooEarly.screen()).toContain('npm run remove:consumer, then start it again');
    await loop.stop();
    expect(await checkout.run('sh', '-ec', remove)).toMatchObject({ code: 0, stderr: '' });
    const system = checkout.start('npm', 'start');
    await system.shows('Ctrl-C');
    const retired = checkout.start('sh', '-ec', takeOff);
    expect([await retired.ended(), retired.screen()]).toEqual([
      0,
      expect.stringContaining('deal-notifier is retired: its queues are deleted.'),
    ]);
    expect(Object.keys(checkout.contents()).filter((name) => name.startsWith('apps/deal-notifier'))).toEqual(
      [],
    );
  });
});
