import { FormError } from './form-error.js';
import { APPEND, type Step } from './form-name.js';
import { emptyTree, type FormTree, isTree } from './form-tree.js';

const LARGEST_KEY = 2n ** 63n - 1n;

/** Puts values into a tree by PHP's rules for arrays: the last of equal keys wins, a value gives way to an array and the other way round. */
export class FormBuilder {
  readonly root: FormTree = emptyTree();
  /** The next integer key of every tree that has been appended to. Bitrix24 itself never writes `[]`, so this stays empty. */
  private readonly nextKeys = new Map<FormTree, bigint>();
  private arrays = 0;

  constructor(private readonly maxArrays: number) {}

  /** Throws FormError `too-many-arrays`. */
  put(path: readonly Step[], value: string): void {
    const last = path.length - 1;
    let tree = this.root;
    for (let depth = 0; depth <= last; depth++) {
      const step = path[depth] ?? APPEND;
      const key = step === APPEND ? this.nextKey(tree) : step;
      if (key === undefined) return;
      if (depth === last) {
        this.set(tree, key, value);
        return;
      }
      const there = tree[key];
      const child = isTree(there) ? there : this.newArray();
      if (child !== there) this.set(tree, key, child);
      tree = child;
    }
  }

  private newArray(): FormTree {
    if (++this.arrays > this.maxArrays) {
      throw new FormError('too-many-arrays', `The form has more than ${this.maxArrays} arrays`);
    }
    return emptyTree();
  }

  private set(tree: FormTree, key: string, value: FormTree | string): void {
    tree[key] = value;
    if (this.nextKeys.size === 0) return;
    const next = this.nextKeys.get(tree);
    if (next === undefined) return;
    const integer = integerKey(key);
    if (integer !== undefined && integer >= next) this.nextKeys.set(tree, integer + 1n);
  }

  /** The largest integer key plus one, 0 in a tree without any; undefined after PHP's largest integer, where PHP drops the value. */
  private nextKey(tree: FormTree): string | undefined {
    let next = this.nextKeys.get(tree);
    if (next === undefined) {
      const keys = Object.keys(tree)
        .map(integerKey)
        .filter((key) => key !== undefined);
      next = keys.length === 0 ? 0n : keys.reduce((most, key) => (key > most ? key : most)) + 1n;
      this.nextKeys.set(tree, next);
    }
    return next > LARGEST_KEY ? undefined : next.toString();
  }
}

/** PHP takes a key for an integer if it is written as PHP would write that integer, and fits in 64 bits. */
function integerKey(key: string): bigint | undefined {
  if (!/^(?:0|-?[1-9]\d{0,18})$/.test(key)) return undefined;
  const integer = BigInt(key);
  return integer <= LARGEST_KEY && integer >= -LARGEST_KEY ? integer : undefined;
}
