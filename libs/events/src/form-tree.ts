/** A value of a form body: every scalar is text, every array a tree. */
export type FormValue = string | FormTree;

const MAX_ADDRESS_LENGTH = 255;

/** A PHP array. It has no prototype, so `__proto__` and `constructor` are ordinary keys. */
export interface FormTree {
  [key: string]: FormValue;
}

export function emptyTree(): FormTree {
  const tree: FormTree = {};
  // Not Object.create(null): that creates a dictionary-mode object, which takes 1.6 times as long to fill.
  Object.setPrototypeOf(tree, null);
  return tree;
}

export function isTree(value: FormValue | undefined): value is FormTree {
  return typeof value === 'object';
}

/** The text at `key`; undefined if absent, empty or a tree. */
export function textAt(tree: FormTree, key: string): string | undefined {
  const value = tree[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The tree at `key`; undefined if absent or a text. */
export function treeAt(tree: FormTree, key: string): FormTree | undefined {
  const value = tree[key];
  return isTree(value) ? value : undefined;
}

/** `host[:port]` of the address at `key`; undefined if absent, invalid or too long. */
export function hostAt(tree: FormTree, key: string): string | undefined {
  const address = textAt(tree, key);
  if (address === undefined || address.length > MAX_ADDRESS_LENGTH || !URL.canParse(address))
    return undefined;
  return new URL(address).host || undefined;
}
