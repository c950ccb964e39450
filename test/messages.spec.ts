import { describe, expect, it } from '@jest/globals';
import { redactText } from '@relay/platform';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

const root = join(import.meta.dirname, '..');

/** Texts that show a secret on purpose, to whom it belongs: on the screen of `npm start`, and the simulator's guide. */
const showsItsSecret = new Set([
  'apps/standalone/src/welcome.ts',
  'apps/portal-simulator/src/control/control-guide.ts',
]);

interface Text {
  file: string;
  text: string;
}

/** Every text with a space in it: sentences, and more than those. What is filled in is a harmless word. */
function textsOf(file: string): Text[] {
  const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest);
  const found: Text[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node)) found.push({ file, text: node.text });
    if (ts.isTemplateExpression(node)) {
      const text = node.head.text + node.templateSpans.map(({ literal }) => `word${literal.text}`).join('');
      found.push({ file, text });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found.filter(({ text }) => text.includes(' '));
}

describe('our own messages', () => {
  const files = ['apps', 'libs']
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(
        (file) => `${folder}/${file}`,
      ),
    )
    .filter((file) => /\/src\/.*\.ts$/.test(file) && !/\.(spec|cases)\.ts$/.test(file))
    .filter((file) => !showsItsSecret.has(file));
  const texts = files.flatMap(textsOf);

  it('are found', () => {
    expect(texts.length).toBeGreaterThan(500);
    expect(texts.map(({ text }) => text)).toContain('OPS_TOKEN is wrong or missing');
  });

  it('never look like a secret, so the log shows them whole', () => {
    expect(texts.filter(({ text }) => redactText(text) !== text)).toEqual([]);
  });
});
