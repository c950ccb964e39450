import type { MissingReference } from '../portal/portal.js';
import {
  argument,
  decodeForm,
  emptyTree,
  isTree,
  isTruthy,
  phpArray,
  textOf,
  type Value,
  type Values,
} from '../protocol/php.js';
import { RestError } from '../protocol/rest-error.js';
import type { Outcome } from './method.js';

const MAX_COMMANDS = 50;

export interface Command {
  key: string;
  method: string;
  /** With unresolved references to results of other commands. */
  params: Values;
  /** Length of the command in characters. */
  length: number;
}

/** Runs one command of a batch. @throws RestError */
type RunCommand = (method: string, params: Values) => Outcome & { time: Values };

/**
 * `batch` (settings/how-to-call-rest-api/batch.md): runs commands in order; each may refer to results of earlier ones.
 * Errors are reported by key and the HTTP status is 200; `halt` ends the batch at the first error. Each command after
 * the fiftieth is an error.
 */
export function runBatch(
  params: Values,
  commands: readonly Command[],
  run: RunCommand,
  missingReference: MissingReference,
): Value {
  const sections: Sections = { result: [], error: [], total: [], next: [], time: [] };
  const halt = isTruthy(argument(params, 'halt'));
  for (const [position, { key, method, params: withReferences }] of commands.entries()) {
    try {
      if (position >= MAX_COMMANDS) throw batchTooLong();
      const { result, total, next, time } = run(
        method,
        resolveReferences(withReferences, sections, missingReference),
      );
      sections.result.push([key, result]);
      if (total !== undefined) sections.total.push([key, total]);
      if (next !== undefined) sections.next.push([key, next]);
      sections.time.push([key, time]);
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      sections.error.push([key, error.body]);
      if (halt) break;
    }
  }
  return {
    result: phpArray(sections.result),
    result_error: phpArray(sections.error),
    result_total: phpArray(sections.total),
    result_next: phpArray(sections.next),
    result_time: phpArray(sections.time),
  };
}

/**
 * A portal rejects a batch whose commands have too many characters in total (`_includes/system-errors.md`). The
 * documentation names no limit, so a portal has one only if its settings say so. @throws RestError
 */
export function checkLength(commands: readonly Command[], limit: number | null): void {
  const length = commands.reduce((sum, command) => sum + command.length, 0);
  if (limit !== null && length > limit) throw batchTooLong();
}

/** The commands in `cmd`: strings `method?query`; other values are ignored. */
export function commandsOf(params: Values): Command[] {
  const commands = argument(params, 'cmd');
  if (!isTree(commands) && !Array.isArray(commands)) return [];
  return Object.entries(commands).flatMap(([key, command]): Command[] => {
    if (typeof command !== 'string') return [];
    const [method, query] = split(command);
    return [{ key, method, params: decodeForm(query), length: command.length }];
  });
}

function batchTooLong(): RestError {
  return new RestError('ERROR_BATCH_LENGTH_EXCEEDED', 'Max batch length exceeded');
}

function split(command: string): [method: string, query: string] {
  const [uri = ''] = command.split('#', 1);
  const mark = uri.indexOf('?');
  return mark < 0 ? [uri, ''] : [uri.slice(0, mark), uri.slice(mark + 1)];
}

type Sections = Record<'result' | 'error' | 'total' | 'next' | 'time', [string, Value][]>;

/** Resolves the references in a command's parameters. */
function resolveReferences(tree: Values, sections: Sections, missingReference: MissingReference): Values {
  const resolved = emptyTree();
  for (const [key, value] of Object.entries(tree)) {
    const name = textOf(resolve(key, sections, missingReference)) ?? key;
    resolved[name] = isTree(value)
      ? resolveReferences(value, sections, missingReference)
      : resolve(value, sections, missingReference);
  }
  return resolved;
}

/**
 * Resolves `$result[key][path]` (also `$total`, `$next`, `$error`, `$time`): a text that is one reference becomes the
 * value itself, a reference within a text is inserted.
 */
function resolve(value: Value, sections: Sections, missingReference: MissingReference): Value {
  const text = textOf(value);
  if (text === undefined || !text.includes('$')) return value;
  let resolved = text;
  for (const [reference, section = '', path = ''] of text.matchAll(
    /\$(result|error|total|next|time)(\S*)/g,
  )) {
    const keys = [...path.matchAll(/\[([^\]]+)\]/g)].map(([, key = '']) => key);
    if (keys.length === 0) continue;
    const found = follow(sectionTree(sections, section), keys, missingReference);
    if (reference === text) return found;
    const inserted = textOf(found);
    if (inserted !== undefined) resolved = resolved.replace(reference, () => inserted);
  }
  return resolved;
}

function sectionTree(sections: Sections, name: string): Values {
  const tree = emptyTree();
  if (isSection(sections, name)) for (const [key, value] of sections[name]) tree[key] = value;
  return tree;
}

function isSection(sections: Sections, name: string): name is keyof Sections {
  return Object.hasOwn(sections, name);
}

function follow(from: Value, path: readonly string[], missingReference: MissingReference): Value {
  let value = from;
  for (const key of path) {
    const next = Array.isArray(value) ? value[Number(key)] : isTree(value) ? own(value, key) : undefined;
    if (next === undefined || next === null) return missingReference === 'empty' ? '' : value;
    value = next;
  }
  return value;
}

function own(tree: Values, key: string): Value | undefined {
  return Object.hasOwn(tree, key) ? tree[key] : undefined;
}
