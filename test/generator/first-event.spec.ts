import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { RunnableCheckout, type RunningCommand } from './checkout.js';

jest.setTimeout(240_000);

/** From `npm run new:consumer` on a fresh checkout, nothing built, to the first event in the running system. */
const LIMIT_MS = 60_000;

function migrationOf(name: string, sql: string): string {
  const up = `up(runner: { query(sql: string): Promise<void> }) { return runner.query('${sql}'); }`;
  return `export class ${name} { ${up} down() {} }\n`;
}

describe('a new consumer', () => {
  const checkout = new RunnableCheckout();
  const controller = join(checkout.path, 'apps/greeter/src/greeter.controller.ts');
  let system: RunningCommand;

  beforeAll(() => checkout.choosePorts());
  afterAll(() => checkout.end());

  const addContact = (): Promise<void> => checkout.addItem(3, { name: 'Ann' });

  it('is made, built and run, and handles its first event', async () => {
    const beganAt = performance.now();
    const made = await checkout.run(
      'npm',
      'run',
      'new:consumer',
      '--',
      'greeter',
      '--events',
      'ONCRMCONTACTADD',
      '--migration',
    );
    expect(made).toMatchObject({ code: 0, stderr: '' });
    system = checkout.start('npm', 'start');
    await system.shows('Ctrl-C');
    expect(checkout.log()).toContain('greeter takes events');
    await addContact();
    await eventually(() =>
      expect(checkout.log()).toMatch(/"app":"greeter".+"names":\["ONCRMCONTACTADD"\],"msg":"an event came"/),
    );
    const tookMs = performance.now() - beganAt;
    process.stderr.write(`from the command to the first handled event: ${Math.round(tookMs / 1_000)} s\n`);
    expect(tookMs).toBeLessThan(LIMIT_MS);
  });

  it('has a spec that passes, and keeps the rules of the house', async () => {
    // The other kind of handler: it reads the item, and writes what differs.
    const made = await checkout.command('new-consumer', 'deal-tidier', '--entity', 'deal', '--migration');
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const spec = await checkout.run('npm', 'run', 'jest', '--', 'apps/greeter', 'apps/deal-tidier');
    expect(spec.stderr).toContain('PASS apps/greeter/src/greeter.controller.spec.ts');
    expect(spec.stderr).toContain('PASS apps/deal-tidier/src/deal-tidier.controller.spec.ts');
    expect(spec.code).toBe(0);
    const oxlint = join(checkout.path, 'node_modules/oxlint/bin/oxlint');
    const lint = await checkout.run(
      process.execPath,
      oxlint,
      '--deny-warnings',
      'apps/greeter',
      'apps/deal-tidier',
    );
    expect(lint).toMatchObject({ code: 0 });
    await checkout.command('remove-consumer', 'deal-tidier');
  });

  it('is run by npm run dev, and again at each change, and meanwhile not by npm start', async () => {
    const dev = checkout.start('npm', 'run', 'dev', '--', 'greeter');
    await dev.shows('greeter takes events');
    expect(system.screen()).toContain('greeter is run by npm run dev from now on');
    await addContact();
    await dev.shows('(no request)');
    // What the libs log of their own work is for the log alone.
    expect(dev.linesOfDev()).toEqual([
      expect.stringMatching(/^the simulated portal is at http:/),
      'watching apps/greeter/src and libs; Ctrl-C ends it',
      'greeter takes events',
      expect.stringMatching(/^an event came memberId=\w+ entity=CRMCONTACT:\d+$/),
      expect.stringMatching(/^ONCRMCONTACTADD CRMCONTACT:\d+: done in \d+ ms \(no request\)$/),
    ]);

    let shown = dev.screen().length;
    const source = readFileSync(controller, 'utf8');
    writeFileSync(controller, source.replace('an event came', 'hello'));
    await dev.shows('greeter takes events', shown);
    await addContact();
    await dev.shows(/ hello memberId=\w+/, shown);

    // A migration that reads a table that is gone would fail, were it still there.
    const half = join(checkout.path, 'apps/greeter/src/migrations/1999999999998-half.ts');
    shown = dev.screen().length;
    writeFileSync(half, migrationOf('Half1999999999998', 'SELECT 1 FROM greeter.nowhere'));
    await dev.shows('relation "greeter.nowhere" does not exist', shown);
    shown = dev.screen().length;
    rmSync(half);
    await dev.shows('greeter takes events', shown);

    shown = dev.screen().length;
    appendFileSync(controller, "throw new Error('this is not finished');\n");
    await dev.shows('Error: this is not finished', shown);
    await dev.shows('greeter has ended (code 1); it starts again at the next change', shown);

    await dev.stop();
    await system.shows('greeter is not run by npm run dev any more');
    const before = checkout.log().length;
    await addContact();
    await eventually(() => expect(checkout.log().slice(before)).toContain('"msg":"an event came"'));
  });

  it('that is made beside a running npm start is run there after the next start', async () => {
    await checkout.command('new-consumer', 'late-comer', '--events', 'ONCRMCONTACTADD');
    const dev = checkout.start('npm', 'run', 'dev', '--', 'late-comer');
    await dev.shows('late-comer takes events');
    await dev.stop();
    await system.shows('late-comer was made after this npm start: start it again to run the consumer here');
    expect(system.screen()).not.toContain('late-comer is not run by npm run dev any more');
    await checkout.command('remove-consumer', 'late-comer');
  });

  it('is named by npm run dev where another name is given', async () => {
    const { code, stderr } = await checkout.run('npm', 'run', '--silent', 'dev', '--', 'greetr');
    expect(stderr).toMatch(/^b24-relay: npm run dev -- <consumer>: one of greeter, .*name-formatter.*\n$/);
    expect(code).toBe(1);
  });

  it('whose migration fails is named in one sentence, and runs again when it is mended', async () => {
    await system.stop();
    const migrations = join(checkout.path, 'apps/greeter/src/migrations');
    const broken = join(migrations, '1999999999999-break.ts');
    writeFileSync(broken, migrationOf('Break1999999999999', 'CREATE TABL x ()'));
    const failed = checkout.start('npm', 'start');
    expect(await failed.ended()).toBe(1);
    expect(failed.screen()).toMatch(
      /The migration apps\/greeter\/src\/migrations\/1999999999999-break\.js failed, and nothing of it is done: syntax error/,
    );
    expect(failed.screen()).not.toContain('    at ');
    rmSync(broken);
  });

  it('whose code throws does not keep the others from running', async () => {
    const again = checkout.start('npm', 'start');
    await again.shows('Ctrl-C');
    expect(again.screen()).toContain(
      '! greeter: this consumer does not run, the others do: mend it and start again (this is not finished)',
    );
    expect(checkout.log()).toContain('name-formatter takes events');
    await again.stop();
  });
});
