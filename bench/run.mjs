/** `npm run bench -- <name>`: runs bench/<name>.mjs. What each one measures, and what is to be reached, stands in it. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [name = ''] = process.argv.slice(2);
const script = join(import.meta.dirname, `${name}.mjs`);
if (/^[a-z-]+$/.test(name) && name !== 'run' && existsSync(script)) {
  await import(pathToFileURL(script).href);
} else {
  const names = readdirSync(import.meta.dirname).filter(
    (file) => file.endsWith('.mjs') && file !== 'run.mjs',
  );
  console.error(
    `npm run bench -- <name>, where name is ${names.map((file) => file.slice(0, -4)).join(', ')}`,
  );
  process.exitCode = 1;
}
