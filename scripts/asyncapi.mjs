/** `npm run asyncapi`: writes docs/asyncapi.yaml, of what is built. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format } from 'prettier';
import { stringify } from 'yaml';

const { describeBus } = await import(join(import.meta.dirname, '../dist/libs/bus/src/asyncapi.js'));
const file = join(import.meta.dirname, '../docs/asyncapi.yaml');
const head = '# Made by `npm run asyncapi` of libs/bus/src/asyncapi.ts: change it there.\n';
const text = stringify(describeBus(), { aliasDuplicateObjects: false, lineWidth: 0 });
writeFileSync(file, await format(head + text, { parser: 'yaml', singleQuote: true }));
console.log('docs/asyncapi.yaml');
