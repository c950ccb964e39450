import { execFile } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { copyRepository } from '../support/copy-repository.mjs';
import { check, compose, json, simulatorUrl, step, until } from './stack.mjs';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const NAME = 'deal-tidier';
const DEAL_TYPE_ID = 2;
/** What docker-compose.yml and the commands for consumers read. */
const FILES = (
  'package.json package-lock.json nest-cli.json tsconfig.json tsconfig.build.json .swcrc .prettierrc.json .env.example ' +
  'Dockerfile .dockerignore docker-compose.yml README.md apps libs examples scripts tools deploy'
).split(' ');
/** Those that new:consumer changes. */
const REGISTRATIONS = ['docker-compose.yml', 'nest-cli.json', 'README.md'];

/** A copy of this repository with a consumer that `npm run new:consumer` has made, as somebody who has just made one deploys it. */
export class GeneratedConsumer {
  /** Of the copy. */
  folder = copyRepository(FILES);

  async make() {
    await this.#npm('new:consumer', NAME, '--entity', 'deal', '--migration');
    console.log(`compose: npm run new:consumer has made ${NAME}`);
  }

  /** @param {(sql: string) => Promise<import('./stack.mjs').Ended>} query */
  async handlesAnEvent(query) {
    const portal = `${simulatorUrl}/portals/demo/rest/1/demo`;
    const fields = { title: ' Twelve  lamps ' };
    const { result } = await json(`${portal}/crm.item.add`, { entityTypeId: DEAL_TYPE_ID, fields });
    const { id } = result.item;
    await until(10_000, async () => {
      const { result: found } = await json(`${portal}/crm.item.get`, { entityTypeId: DEAL_TYPE_ID, id });
      return found.item.title === 'Twelve lamps'
        ? undefined
        : `${NAME} has left "${found.item.title}" as it was`;
    });
    await until(10_000, async () => {
      const { stdout } = await query('SELECT entity FROM deal_tidier.handled');
      return stdout === `CRMDEAL:${id}\n` ? undefined : `its table has ${stdout}`;
    });
    console.log(`compose: ${NAME} has handled an event, and written into a table of its own`);
  }

  /** As docs/writing-a-consumer.md says. */
  async isRetired() {
    const retire = ['exec', '-T', 'control-plane', 'relay', 'consumer', 'retire', NAME];
    await step(`${NAME} is drained`, compose(...retire, '--drain'));
    await step(`${NAME} is stopped`, compose('stop', NAME));
    await step(`${NAME} is retired`, compose(...retire));
  }

  /** Last of all: compose forgets a service that is not in its file any more. Removes the copy, too. */
  async isTakenAway() {
    try {
      await this.#npm('remove:consumer', NAME);
      const isLeft = REGISTRATIONS.some(
        (file) => readFileSync(join(this.folder, file), 'utf8') !== readFileSync(join(root, file), 'utf8'),
      );
      check('npm run remove:consumer leaves nothing of it', !isLeft);
    } finally {
      process.chdir(root);
      rmSync(this.folder, { recursive: true, force: true });
    }
  }

  /** @param {string} script @param {string[]} args */
  #npm(script, ...args) {
    return run('npm', ['run', '--silent', script, '--', ...args], { cwd: this.folder });
  }
}
