import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

const root = join(import.meta.dirname, '..');

/** Passes on the lines of Nest itself, which have no codes. */
const hasNoCodes = new Set(['libs/platform/src/telemetry/logger.ts']);
/** One code, two levels: none yet. Whoever adds one says why. */
const mayHaveTwoLevels = new Set<string>();

interface LogLine {
  at: string;
  level: string;
  /** Empty if the line has no code; several if the code depends on a condition. */
  codes: string[];
}

/** Every call of a logger's method at `warn` or above, and what it has as `event`. */
function logLinesOf(file: string): LogLine[] {
  const source = ts.createSourceFile(
    file,
    readFileSync(join(root, file), 'utf8'),
    ts.ScriptTarget.Latest,
    true,
  );
  const lines: LogLine[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
      const level = node.expression.name.text;
      const isLog = /(^|[.#])log$/.test(node.expression.expression.getText());
      if (isLog && ['info', 'warn', 'error', 'fatal'].includes(level)) {
        const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
        lines.push({ at: `${file}:${line}`, level, codes: codesOf(node.arguments[0]) });
      }
    }
    // A function that takes the level first, such as the mover's `logThrottled`.
    if (ts.isCallExpression(node)) {
      const [level, fields] = node.arguments;
      if (level && ts.isStringLiteral(level) && ['warn', 'error'].includes(level.text)) {
        const codes = codesOf(fields);
        if (codes.length > 0) lines.push({ at: file, level: level.text, codes });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return lines;
}

function codesOf(fields: ts.Expression | undefined): string[] {
  if (!fields || !ts.isObjectLiteralExpression(fields)) return [];
  const property = fields.properties.find((one) => one.name?.getText() === 'event');
  if (!property) return [];
  if (!ts.isPropertyAssignment(property)) return ['not a literal'];
  const value = property.initializer;
  const texts = ts.isConditionalExpression(value) ? [value.whenTrue, value.whenFalse] : [value];
  return texts.map((text) => (ts.isStringLiteral(text) ? text.text : 'not a literal'));
}

/** The rows of the table of docs/operating.md below "Event codes": code and level. */
function documentedCodes(): Map<string, string> {
  const page = readFileSync(join(root, 'docs/operating.md'), 'utf8');
  const section = /\n#+ Event codes\n([\s\S]*?)(?=\n#)/.exec(page)?.[1] ?? '';
  const rows = [...section.matchAll(/^\| `([^`]+)` *\| (\w+) *\|/gm)];
  return new Map(rows.map(([, code = '', level = '']) => [code, level]));
}

describe('event codes', () => {
  const files = ['apps', 'libs']
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(
        (file) => `${folder}/${file}`,
      ),
    )
    .filter((file) => /\/src\/.*\.ts$/.test(file) && !/\.(spec|cases)\.ts$/.test(file))
    .filter((file) => !hasNoCodes.has(file));
  const lines = files.flatMap(logLinesOf);
  const levels = new Map<string, Set<string>>();
  for (const { codes, level } of lines) {
    for (const code of codes) levels.set(code, (levels.get(code) ?? new Set()).add(level));
  }

  it('are on every line at warn or above', () => {
    expect(lines.length).toBeGreaterThan(100);
    const bare = lines.filter(({ codes, level }) => codes.length === 0 && level !== 'info');
    expect(bare.map(({ at }) => at)).toEqual([]);
  });

  it('are literals of the form area.thing.what', () => {
    const odd = [...levels.keys()].filter((code) => !/^[a-z_]+(\.[a-z_]+){1,2}$/.test(code));
    expect(odd).toEqual([]);
  });

  it('have one level each', () => {
    const mixed = [...levels].filter(([code, some]) => some.size > 1 && !mayHaveTwoLevels.has(code));
    expect(mixed).toEqual([]);
  });

  it('are those in the table of docs/operating.md, with their levels', () => {
    const inCode = Object.fromEntries([...levels].map(([code, some]) => [code, [...some].join(' ')]));
    expect(Object.fromEntries(documentedCodes())).toEqual(inCode);
  });
});
