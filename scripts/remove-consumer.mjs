/** `npm run remove:consumer -- <name>`: takes away what `npm run new:consumer` made, and all that was written since. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { failWith, noteOtherChanges, readArguments } from './generator/command.mjs';
import { planSchematic, writeFiles } from './generator/run-schematic.mjs';

process.chdir(join(import.meta.dirname, '..'));
const options = readArguments('npm run remove:consumer -- <name>', []);
try {
  const root = process.cwd();
  const changes = await planSchematic(root, 'remove-consumer', options);
  noteOtherChanges();
  writeFiles(root, changes);
  const { name } = options;
  // What is built of it would still run.
  rmSync(join(root, 'dist/apps', String(name)), { recursive: true, force: true });
  console.log(`apps/${name} and its entries are gone. Where it has run, its queues still take events, and its events are still bound.
Here: start npm start again, which then does not run it, and \`npm run relay -- consumer retire ${name}\` (with --drop what is left is deleted).
In a deployment \`relay consumer retire ${name} --drain\` lets its processes finish what waits; end them, then \`relay consumer retire ${name}\`. Tables of its own migrations stay until you drop them.`);
} catch (error) {
  failWith(error);
}
