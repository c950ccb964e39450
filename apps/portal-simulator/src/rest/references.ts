import { emptyTree, isTree, textOf, type Value, type Values } from '../protocol/php.js';
import type { MissingReference } from '../portal/portal.js';

export type Sections = Record<'result' | 'error' | 'total' | 'next' | 'time', [string, Value][]>;

/** The parameters of a command, with what earlier commands answered put in. */
export function resolveTree(tree: Values, sections: Sections, missing: MissingReference): Values {
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
