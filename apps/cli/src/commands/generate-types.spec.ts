import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import ts from 'typescript';
import { formatTypes } from './generate-types.js';
import { parseObjectType } from '../arguments/option-values.js';

type DescribedType = Parameters<typeof formatTypes>[1][number];

const field = (name: string, type: string, more: object = {}): DescribedType['fields'][number] => ({
  name,
  type,
  title: 'A title',
  isMultiple: false,
  options: [],
  ...more,
});
const deal = (fields: DescribedType['fields'], unreadable = 0): DescribedType => ({
  entityTypeId: 2,
  name: 'Deal',
  fields,
  unreadable,
});

/** The kinds of its statements, and the keys of its schema; throws for what does not parse. */
function read(code: string): { statements: string[]; keys: string[] } {
  const { diagnostics = [] } = ts.transpileModule(code, { reportDiagnostics: true });
  expect(diagnostics.map(({ messageText }) => messageText)).toEqual([]);
  const source = ts.createSourceFile('fields.ts', code, ts.ScriptTarget.ES2023, true);
  const keys: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && node.parent.parent.getText().startsWith('z.object'))
      keys.push(node.name.getText());
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { statements: source.statements.map(({ kind }) => ts.SyntaxKind[kind]), keys };
}

const STATEMENTS = ['ImportDeclaration', 'FirstStatement', 'TypeAliasDeclaration'];

describe('relay types generate', () => {
  it('writes a schema and a type for the user fields', () => {
    const colours = [{ id: 81, text: 'Red' }].concat({ id: 82, text: 'Blue' });
    const fields = [
      field('ufCrm_1', 'enumeration', { title: 'Colour', options: colours, isMultiple: true }),
      field('ufCrm_2', 'money'),
      field('ufCrm_3', 'rest_17_rating'),
    ];
    expect(formatTypes('acme.bitrix24.com', [deal(fields, 3)])).toBe(
      `// User fields of acme.bitrix24.com, made by relay types generate. Make it again when the portal's fields have changed.

import { z } from 'zod';

/** Of items with entityTypeId 2: \`dealUserFields.parse(item)\`. A value of another kind is undefined. Left out, because they are not as documented or too many: 3 fields and options. */
export const dealUserFields = z.object({
  /** Colour (enumeration: 81 Red, 82 Blue) */
  ufCrm_1: z.array(z.number()).nullish().catch(undefined),
  /** A title (money) */
  ufCrm_2: z.string().nullish().catch(undefined),
  /** A title (rest_17_rating) */
  ufCrm_3: z.unknown().nullish().catch(undefined),
});
export type DealUserFields = z.output<typeof dealUserFields>;`,
    );
  });

  it.each(['@ts-expect-error', '@ts-ignore', '@deprecated'])(
    'tells no compiler anything by a field that is called %s',
    (title) => {
      const code = formatTypes('a', [deal([field('ufCrm_1', 'string', { title })])]);
      const source = ts.createSourceFile('fields.ts', code, ts.ScriptTarget.ES2023, true);
      const tags: string[] = [];
      const visit = (node: ts.Node): void => {
        for (const tag of ts.getJSDocTags(node)) tags.push(tag.getText());
        ts.forEachChild(node, visit);
      };
      visit(source);
      // What it would raise or hide an error by; the compiler's own list, which its types do not show.
      expect([tags, Reflect.get(source, 'commentDirectives')]).toEqual([[], undefined]);
      expect(code).toContain(title.slice(1));
    },
  );

  it.each([
    '*/ process.exit(1) /*',
    '*\u0000/ process.exit(1) /*',
    '**//\nprocess.exit(1)',
    '\u2028process.exit(1)\u2029',
    '\u202Eevil\u001b[2J',
    '`${process.exit(1)}`',
  ])('makes no code of %j, wherever it stands', (evil) => {
    const hostile = field('ufCrm_1', evil, { title: evil, options: [{ id: 1, text: evil }] });
    const code = formatTypes(evil, [deal([hostile, field(evil, 'string'), field('constructor', evil)])]);
    expect(read(code)).toEqual({ statements: STATEMENTS, keys: ['ufCrm_1'] });
    expect(code.replaceAll('\n', '')).not.toMatch(/\p{C}|\p{Zl}|\p{Zp}/u);
    expect(code).toContain('too many: 2 fields and options');
  });

  it('makes code of checked names alone, whatever the portal says', () => {
    const word = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc
        .array(fc.constantFrom('*', '/', '\n', '`', '}', ')', ';', "'", '\\', 'uf', 'A'))
        .map((all) => all.join('')),
    );
    const any = fc.record({
      name: fc.oneof(word, fc.constant('ufCrm_7')),
      type: word,
      title: word,
      isMultiple: fc.boolean(),
      options: fc.array(fc.record({ id: fc.nat(), text: word }), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(word, fc.array(any, { maxLength: 4 }), (domain, fields) => {
        const { statements, keys } = read(formatTypes(domain, [deal(fields)]));
        expect(statements).toEqual(STATEMENTS);
        for (const key of keys) expect(key).toMatch(/^uf[A-Z]\w*$/);
      }),
      { numRuns: 150 },
    );
  });
});

describe('--entity', () => {
  it.each([
    ['deal', 2, 'Deal'],
    ['Invoice', 31, 'Invoice'],
    ['31', 31, 'Invoice'],
    ['147', 147, 'SmartProcess147'],
  ])('%s is entityTypeId %i', (text, entityTypeId, name) => {
    expect(parseObjectType(text)).toEqual({ entityTypeId, name });
  });

  it.each(['deals', '', '0', '-1', '2147483648', '1e3', '__proto__'])('%j is rejected', (text) => {
    expect(() => parseObjectType(text)).toThrow('must be lead, deal');
  });
});
