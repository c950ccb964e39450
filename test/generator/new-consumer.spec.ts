import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Checkout, type Ended } from './checkout.js';

describe('npm run new:consumer', () => {
  let checkout: Checkout;
  beforeEach(() => {
    checkout = new Checkout();
  });
  afterEach(() => checkout.remove());

  const dealNotifier = ['deal-notifier', '--events', 'ONCRMDEALADD,ONCRMDEALUPDATE'];

  it('makes an app and its entries, formatted, and remove:consumer takes all of it away', async () => {
    const before = checkout.contents();
    const made = await checkout.command('new-consumer', ...dealNotifier, '--entity', 'deal');
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const added = Object.keys(checkout.contents()).filter((name) => !(name in before));
    expect(added).toEqual([
      'apps/deal-notifier',
      'apps/deal-notifier/src',
      ...['changes', 'consumer', 'deal-notifier.controller.spec', 'deal-notifier.controller']
        .concat('deal-notifier.module', 'main', 'settings')
        .map((name) => `apps/deal-notifier/src/${name}.ts`),
      'apps/deal-notifier/tsconfig.app.json',
    ]);
    expect(checkout.read('apps/deal-notifier/src/deal-notifier.controller.ts')).toContain(
      "@OnPortalEvents(['ONCRMDEALADD', 'ONCRMDEALUPDATE'])",
    );
    expect(JSON.parse(checkout.read('nest-cli.json'))).toMatchObject({
      projects: { 'deal-notifier': { entryFile: 'apps/deal-notifier/src/main' } },
    });
    expect(checkout.read('docker-compose.yml')).toContain(
      "  deal-notifier:\n    <<: *app\n    command: ['node', 'dist/apps/deal-notifier/src/main.js']\n",
    );
    expect(checkout.read('README.md').match(/^\| `(apps\/)?deal-notifier` /gm)).toHaveLength(2);
    const prettier = join(checkout.path, 'node_modules/prettier/bin/prettier.cjs');
    const files = ['apps', 'nest-cli.json', 'docker-compose.yml', 'README.md'];
    expect(await checkout.run(process.execPath, prettier, '--check', ...files)).toMatchObject({ code: 0 });

    const removed = await checkout.command('remove-consumer', 'deal-notifier');
    expect(removed.stdout).toContain('relay consumer retire deal-notifier');
    expect(checkout.contents()).toEqual(before);
  });

  it.each([
    ['new-consumer', '--help', /^npm run new:consumer -- <name> --events .*\n$/],
    ['remove-consumer', '-h', /^npm run remove:consumer -- <name>\n$/],
  ] as const)('%s %s says how it is called, and does nothing', async (script, flag, usage) => {
    const before = checkout.contents();
    expect(await checkout.command(script, flag)).toEqual({
      code: 0,
      stdout: expect.stringMatching(usage),
      stderr: '',
    });
    expect(checkout.contents()).toEqual(before);
  });

  it('gives events that name no thing, or that carry data, to a method one by one', async () => {
    await checkout.command('new-consumer', 'listener', '--events', 'ONIMBOTMESSAGEADD');
    expect(checkout.read('apps/listener/src/listener.controller.ts')).toContain(
      "@OnPortalEvents(['ONIMBOTMESSAGEADD'], { merge: false })",
    );
  });

  it('knows the events of an entity', async () => {
    const made = await checkout.command('new-consumer', 'deliveries', '--entity', '147');
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(checkout.read('apps/deliveries/src/deliveries.controller.ts')).toContain(
      "@OnPortalEvents(['ONCRMDYNAMICITEMADD_147', 'ONCRMDYNAMICITEMUPDATE_147'])",
    );
  });

  it('makes a table in a schema of its own, with --migration', async () => {
    const made = await checkout.command('new-consumer', ...dealNotifier, '--entity', 'deal', '--migration');
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const [migration = ''] = Object.keys(checkout.contents()).filter((name) =>
      /^apps\/deal-notifier\/src\/migrations\/\d{13}-create-deal-notifier\.ts$/.test(name),
    );
    const number = /\d{13}/.exec(migration)?.[0];
    expect(checkout.read(migration)).toContain(`export class CreateDealNotifier${number} implements`);
    expect(checkout.read(migration)).toContain('CREATE SCHEMA "deal_notifier";');
    expect(checkout.read('apps/deal-notifier/src/deal-notifier.module.ts')).toContain(
      'providers: [HandledEntities]',
    );
  });

  it('makes an example an app, and remove:consumer takes it away', async () => {
    const before = checkout.contents();
    const made = await checkout.command('new-consumer', '--example', 'phone-formatter');
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toContain('npm run dev -- phone-formatter');
    const changed = Object.entries(checkout.contents()).filter(([name, hash]) => before[name] !== hash);
    const copies = changed.filter(([name]) => /^apps\/phone-formatter\/.+\./.test(name));
    expect(copies.length).toBeGreaterThan(5);
    for (const [name, hash] of copies) expect(hash).toBe(before[name.replace('apps', 'examples')]);
    expect(JSON.parse(checkout.read('nest-cli.json'))).toMatchObject({
      projects: { 'phone-formatter': { entryFile: 'apps/phone-formatter/src/main' } },
    });
    expect(checkout.read('docker-compose.yml')).toContain('  phone-formatter:\n');
    expect(checkout.read('README.md')).toMatch(
      /^\| `apps\/phone-formatter` +\| consumer: `ONCRMCONTACTADD`/m,
    );
    const again = await checkout.command('new-consumer', '--example', 'phone-formatter');
    expect(again.stderr).toContain('apps/phone-formatter is there already');
    await checkout.command('remove-consumer', 'phone-formatter');
    expect(checkout.contents()).toEqual(before);
  });

  it('says that the tree has other changes, and goes on', async () => {
    await checkout.run('git', 'init', '-q');
    const { code, stdout } = await checkout.command('new-consumer', ...dealNotifier);
    expect(stdout).toMatch(/^Note: \d+ other changes are not committed yet; /);
    expect(code).toBe(0);
  });

  it('leaves nothing half made where one file cannot be written', async () => {
    const before = checkout.contents();
    const { stdout } = await checkout.run(
      process.execPath,
      '--input-type=module',
      '-e',
      `import { writeFiles } from './scripts/generator/run-schematic.mjs';
       const changes = ['apps/new/src/main.ts', 'nest-cli.json', 'README.md/main.ts'].map((path) => ({ path, content: Buffer.from('x') }));
       try { writeFiles('.', changes); } catch (error) { console.log(error.code); }`,
    );
    expect(stdout).toMatch(/^(ENOTDIR|EEXIST)\n$/);
    expect(checkout.contents()).toEqual(before);
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'])('is not ended half way by %s', async (signal) => {
    const { code, stdout } = await checkout.run(
      process.execPath,
      '--input-type=module',
      '--eval',
      `import { writeFiles } from './scripts/generator/run-schematic.mjs';
       const end = (content) => { process.kill(process.pid, '${signal}'); return content; };
       writeFiles('.', [
         { path: 'apps/new/src/main.ts', get content() { return end(Buffer.from('x')); } },
         { path: 'apps/new/src/other.ts', content: Buffer.from('x') },
         { path: 'examples', get content() { return end(undefined); } },
         { path: 'tools', content: undefined },
       ]);
       console.log('done');`,
    );
    expect([code, stdout]).toEqual([0, 'done\n']);
    const left = Object.keys(checkout.contents());
    expect(left).toEqual(expect.arrayContaining(['apps/new/src/main.ts', 'apps/new/src/other.ts']));
    expect(left.filter((name) => /^(examples|tools)\b/.test(name))).toEqual([]);
  });

  it('is the schematic of a collection, as others run it', async () => {
    const schematics = join(checkout.path, 'node_modules/@angular-devkit/schematics-cli/bin/schematics.js');
    const run = (...args: string[]): Promise<Ended> =>
      checkout.run(process.execPath, schematics, './tools/schematics:consumer', '--no-dry-run', ...args);
    const before = checkout.contents();
    const rejected = await run('deal-notifier', '--events=ONCRMDEALAD');
    expect(rejected.stderr).toContain('did you mean ONCRMDEALADD?');
    expect(checkout.contents()).toEqual(before);
    expect(await run('deal-notifier', '--events=ONCRMDEALADD,ONCRMDEALUPDATE')).toMatchObject({ code: 0 });
    const bySchematics = checkout.contents();
    await checkout.command('remove-consumer', 'deal-notifier');
    await checkout.command('new-consumer', ...dealNotifier);
    expect(checkout.contents()).toEqual(bySchematics);
  });

  /** As documented in docs/writing-a-consumer.md. */
  function nestGenerate(collection: string, ...args: string[]): Promise<Ended> {
    const nest = 'node_modules/@nestjs/cli/bin/nest.js';
    const command = ['g', '-c', collection, 'consumer', ...args];
    return checkout.run('env', 'NODE_PATH=tools', process.execPath, nest, ...command);
  }

  it('is done by nest g, too, where NODE_PATH makes the collection a package', async () => {
    const rejected = await nestGenerate('schematics', 'greeter', 'ONCRMDEALAD', '-p', 'greeter');
    expect(rejected.stderr).toContain('did you mean ONCRMDEALADD?');
    const events = 'ONCRMDEALADD,ONCRMDEALUPDATE';
    const made = await nestGenerate('schematics', 'deal-notifier', events, '--type', 'deal', '-p', 'x');
    expect(stripVTControlCharacters(made.stdout)).toContain('CREATE apps/deal-notifier/src/consumer.ts (');
    const byNest = checkout.contents();
    await checkout.command('remove-consumer', 'deal-notifier');
    await checkout.command('new-consumer', ...dealNotifier, '--entity', 'deal');
    expect(checkout.contents()).toEqual(byNest);
  });

  it('is only shown by nest g of a path, which is run dry', async () => {
    const before = checkout.contents();
    const shown = await nestGenerate('./tools/schematics', 'greeter', 'ONCRMDEALADD', '-p', 'greeter');
    expect(stripVTControlCharacters(shown.stdout)).toContain('CREATE apps/greeter/src/consumer.ts (');
    expect(checkout.contents()).toEqual(before);
  });
});

describe('npm run new:consumer rejects, and changes nothing', () => {
  const events = ['--events', 'ONCRMDEALADD'];
  const rejections: [what: string, args: string[], sentence: RegExp][] = [
    ['no name', events, /the name of the consumer is missing/],
    ['a name with spaces', ['Deal notifier', ...events], /lower-case letters.+: deal-notifier$/],
    ['a name with slashes', ['../deal', ...events], /lower-case letters.+: deal$/],
    ['a name with capitals', ['DealNotifier', ...events], /lower-case letters.+: deal-notifier$/],
    ['a name that is no name', ['---', ...events], /./],
    ['a name that is too long', ['a'.repeat(41), ...events], /up to 40 characters/],
    ['two names', ['deal', 'notifier', ...events], /one name is enough/],
    ['an app that is there', ['gateway', ...events], /apps\/gateway is there already/],
    ['a file in the way', ['in-the-way', ...events], /apps\/in-the-way is there already/],
    ['the name of a lib', ['bus', ...events], /bus is taken by an app or lib of nest-cli\.json/],
    [
      'the name of a service',
      ['rabbitmq', ...events],
      /rabbitmq is taken by a service of docker-compose\.yml/,
    ],
    ['no events', ['deal-notifier'], /say which events it handles, such as --events/],
    ['empty events', ['deal-notifier', '--events', ' , '], /say which events it handles/],
    [
      'an unknown event',
      ['deal-notifier', '--events', 'onCrmDealAd'],
      /ONCRMDEALAD .+did you mean ONCRMDEALADD\?/,
    ],
    ['a suffix', ['deal-notifier', '--events', 'ONCRMDEALADD_5'], /ONCRMDEALADD has no suffix/],
    ['a suffix that is none', ['deal-notifier', '--events', 'ONCRMDYNAMICITEMADD_0'], /has no suffix/],
    ['an unknown entity', ['deal-notifier', '--entity', 'task'], /--entity is lead, deal, contact/],
    [
      'an event of another entity',
      ['deal-notifier', '--entity', 'lead', ...events],
      /ONCRMDEALADD is no event of/,
    ],
    ['an unknown example', ['--example', '../apps'], /--example is one of deal-to-webhook, phone-formatter/],
    ['an example with a name', ['deal-notifier', '--example', 'phone-formatter'], /give --example alone/],
    [
      'a schema that another app has',
      ['other-one', '--migration', ...events],
      /the schema other_one is taken by apps\/other\/src\/migrations\/1-create\.ts: choose/,
    ],
    [
      'a schema of PostgreSQL',
      ['pg-notes', '--migration', ...events],
      /the schema pg_notes is taken by PostgreSQL/,
    ],
    ['an example with a table', ['--example', 'phone-formatter', '--migration'], /give --example alone/],
    ['an unknown option', ['deal-notifier', '--event', 'ONCRMDEALADD'], /'--event'/],
  ];
  let checkout: Checkout;
  let before: Record<string, string>;
  let ended: Ended[];
  beforeAll(async () => {
    checkout = new Checkout();
    mkdirSync(join(checkout.path, 'apps'), { recursive: true });
    writeFileSync(join(checkout.path, 'apps/in-the-way'), 'notes');
    const migrations = join(checkout.path, 'apps/other/src/migrations');
    mkdirSync(migrations, { recursive: true });
    writeFileSync(join(migrations, '1-create.ts'), 'await runner.query(`CREATE SCHEMA other_one`);');
    before = checkout.contents();
    ended = [];
    // Two at a time: each takes a second of one core.
    for (let at = 0; at < rejections.length; at += 2) {
      const some = rejections.slice(at, at + 2);
      ended.push(...(await Promise.all(some.map(([, args]) => checkout.command('new-consumer', ...args)))));
    }
  }, 120_000);
  afterAll(() => checkout.remove());

  it.each(rejections.map(([what], at) => [what, at] as const))('%s', (_, at) => {
    const { code, stderr } = ended[at] ?? { code: 0, stderr: '' };
    expect(code).toBe(1);
    expect(stderr).toMatch(/^b24-relay: /);
    expect(stderr.split('\n')[0]).toMatch(rejections[at]?.[2] ?? /never/);
    expect(stderr).not.toContain('    at ');
  });

  it('of all these is anything left', () => expect(checkout.contents()).toEqual(before));
});

describe('npm run new:consumer in a folder where something is wrong', () => {
  let checkout: Checkout;
  beforeEach(() => {
    checkout = new Checkout();
  });
  afterEach(() => checkout.remove());

  const write = (file: string, text: string): void => writeFileSync(join(checkout.path, file), text);
  /** As `git merge` leaves it. */
  const inConflict = (file: string): void => {
    const text = checkout.read(file);
    write(file, `<<<<<<< HEAD\n${text}=======\n${text}>>>>>>> other\n`);
  };
  const greeter = ['greeter', '--events', 'ONCRMCONTACTADD'];

  const faults: [what: string, damage: () => void, sentence: RegExp, args?: string[]][] = [
    [
      'a link that leads nowhere has its name',
      () => {
        mkdirSync(join(checkout.path, 'apps'), { recursive: true });
        symlinkSync('/nowhere', join(checkout.path, 'apps/greeter'));
      },
      /apps\/greeter is there already/,
    ],
    ['nest-cli.json is in conflict', () => inConflict('nest-cli.json'), /nest-cli\.json is no JSON/],
    ['nest-cli.json is another one', () => write('nest-cli.json', '{}'), /nest-cli\.json has no projects/],
    [
      'docker-compose.yml is in conflict',
      () => inConflict('docker-compose.yml'),
      /docker-compose\.yml cannot be read/,
    ],
    [
      'docker-compose.yml has no place for it',
      () => write('docker-compose.yml', 'services:\n  one:\n    image: one\n'),
      /docker-compose\.yml has no service migrate/,
    ],
    [
      '.prettierrc.json is in conflict',
      () => inConflict('.prettierrc.json'),
      /\.prettierrc\.json is no JSON/,
    ],
    [
      'an example is half written',
      () => write('examples/phone-formatter/src/settings.ts', 'export const NAME = {'),
      /apps\/phone-formatter\/src\/settings\.ts cannot be read/,
      ['--example', 'phone-formatter'],
    ],
  ];

  it.each(faults)('says in one sentence that %s', async (_, damage, sentence, args = greeter) => {
    damage();
    const before = checkout.contents();
    const { code, stderr } = await checkout.command('new-consumer', ...args);
    expect(stderr).toMatch(/^b24-relay: .+\n$/);
    expect([stderr, code]).toEqual([expect.stringMatching(sentence), 1]);
    expect(checkout.contents()).toEqual(before);
  });

  it('formats as Prettier does where no settings say how', async () => {
    rmSync(join(checkout.path, '.prettierrc.json'));
    expect(await checkout.command('new-consumer', ...greeter)).toMatchObject({ code: 0, stderr: '' });
  });

  it('takes no consumer away without which npm start would not start', async () => {
    await checkout.command('new-consumer', ...greeter);
    mkdirSync(join(checkout.path, 'apps/standalone/src'), { recursive: true });
    const user = 'apps/standalone/src/standalone.ts';
    write(user, "import { GreeterModule } from '../../greeter/src/greeter.module.js';\n");
    const before = checkout.contents();
    const rejected = await checkout.command('remove-consumer', 'greeter');
    expect(rejected.stderr).toBe(
      `b24-relay: apps/greeter is used by ${user}: take its import away there first\n`,
    );
    expect(checkout.contents()).toEqual(before);
    write(user, "import { GreeterModule } from '../../other-greeter/src/greeter.module.js';\n");
    expect(await checkout.command('remove-consumer', 'greeter')).toMatchObject({ code: 0 });
  });
});
