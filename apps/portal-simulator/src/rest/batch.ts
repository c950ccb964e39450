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
  /** With references to other commands' answers as they were written. */
  params: Values;
  /** Characters. */
  length: number;
}

/** Runs one command of a batch; throws RestError. */
type RunCommand = (method: string, params: Values) => Outcome & { time: Values };

/**
 * `batch` (settings/how-to-call-rest-api/batch.md): commands run in their order, one may use what earlier
 * ones answered; errors are told apart by key while the answer is 200; `halt` ends the batch at the first. A
 * command beyond the fiftieth is an error of its own.
 */
export function runBatch(
  params: Values,
  commands: readonly Command[],
  run: RunCommand,
  missing: MissingReference,
): Value {
  const sections: Sections = { result: [], error: [], total: [], next: [], time: [] };
  const halt = isTruthy(argument(params, 'halt'));
  for (const [position, { key, method, params: written }] of commands.entries()) {
    try {
      if (position >= MAX_COMMANDS) throw tooLong();
      const { result, total, next, time } = run(method, resolveTree(written, sections, missing));
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
 * A batch can be too long as a whole, in characters, and is refused as a whole then (`_includes/system-errors.md`); how long is not
 * documented, so a portal has a limit only if it is given one. @throws RestError
 */
export function checkLength(commands: readonly Command[], limit: number | null): void {
  const length = commands.reduce((sum, command) => sum + command.length, 0);
  if (limit !== null && length > limit) throw tooLong();
}

/** What is in `cmd`: strings `method?query`; anything else is passed over. */
export function commandsOf(params: Values): Command[] {
  const commands = argument(params, 'cmd');
  if (!isTree(commands) && !Array.isArray(commands)) return [];
  return Object.entries(commands).flatMap(([key, command]): Command[] => {
    if (typeof command !== 'string') return [];
    const [method, query] = split(command);
    return [{ key, method, params: decodeForm(query), length: command.length }];
  });
}

function tooLong(): RestError {
  return new RestError('ERROR_BATCH_LENGTH_EXCEEDED', 'Max batch length exceeded');
}

function split(command: string): [method: string, query: string] {
  const [uri = ''] = command.split('#', 1);
  const mark = uri.indexOf('?');
  return mark < 0 ? [uri, ''] : [uri.slice(0, mark), uri.slice(mark + 1)];
}

type Sections = Record<'result' | 'error' | 'total' | 'next' | 'time', [string, Value][]>;

/** The parameters of a command, with what earlier commands answered put in. */
function resolveTree(tree: Values, sections: Sections, missing: MissingReference): Values {
  const resolved = emptyTree();
  for (const [key, value] of Object.entries(tree)) {
    const name = textOf(resolve(key, sections, missing)) ?? key;
    resolved[name] = isTree(value)
      ? resolveTree(value, sections, missing)
      : resolve(value, sections, missing);
  }
  return resolved;
}

/**
 * `$result[key][path]` (also `$total`, `$next`, `$error`, `$time`): alone it becomes the value itself,
 * within a text it is put in.
 */
function resolve(value: Value, sections: Sections, missing: MissingReference): Value {
  const text = textOf(value);
  if (text === undefined || !text.includes('$')) return value;
  let resolved = text;
  for (const [reference, section = '', path = ''] of text.matchAll(
    /\$(result|error|total|next|time)(\S*)/g,
  )) {
    const keys = [...path.matchAll(/\[([^\]]+)\]/g)].map(([, key = '']) => key);
    if (keys.length === 0) continue;
    const found = follow(sectionTree(sections, section), keys, missing);
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

function follow(from: Value, path: readonly string[], missing: MissingReference): Value {
  let value = from;
  for (const key of path) {
    const next = Array.isArray(value) ? value[Number(key)] : isTree(value) ? own(value, key) : undefined;
    if (next === undefined || next === null) return missing === 'empty' ? '' : value;
    value = next;
  }
  return value;
}

function own(tree: Values, key: string): Value | undefined {
  return Object.hasOwn(tree, key) ? tree[key] : undefined;
}
