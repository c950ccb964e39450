/** `npm run new:consumer -- <name> --events <A,B> [--entity <entity>] [--migration]` or `-- --example <example>`: makes an app that is a consumer, and its entries. */
import { join } from 'node:path';
import { failWith, noteOtherChanges, readArguments } from './generator/command.mjs';
import { planSchematic, writeFiles } from './generator/run-schematic.mjs';

const USAGE =
  'npm run new:consumer -- <name> --events ONCRMDEALADD,ONCRMDEALUPDATE [--entity deal] [--migration], or --example phone-formatter';

process.chdir(join(import.meta.dirname, '..'));
const options = readArguments(USAGE, ['events', 'entity', 'example'], ['migration']);
try {
  const root = process.cwd();
  const changes = await planSchematic(root, 'consumer', options);
  noteOtherChanges();
  writeFiles(root, changes);
  const name = options['name'] ?? options['example'];
  for (const { path } of changes) console.log(`  ${path}`);
  const jest = `npm run jest -- apps/${name}`;
  console.log(`
${jest}   runs its spec
${`npm run dev -- ${name}`.padEnd(jest.length)}   runs it, and again at each change
${'npm start'.padEnd(jest.length)}   runs it, with everything else (start it again if it runs already)
`);
} catch (error) {
  failWith(error);
}
