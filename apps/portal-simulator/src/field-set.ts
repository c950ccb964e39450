import { textOf, type Value } from './php.js';

export type FieldKind = 'number' | 'string' | 'datetime' | 'flag' | 'list' | 'object';

/**
 * The fields of one kind of thing: their names as `crm.item.*` spells them, their kinds, what is there by
 * default.
 */
export class FieldSet {
  readonly names: readonly string[];
  private readonly kinds: ReadonlyMap<string, FieldKind>;

  constructor(
    kinds: readonly (readonly [FieldKind, string])[],
    private readonly defaults: Readonly<Record<string, Value>> = {},
    /** Set by Bitrix24 itself: a written value is ignored. */
    private readonly readOnly: ReadonlySet<string> = new Set(),
  ) {
    this.kinds = new Map(
      kinds.flatMap(([kind, names]) => names.split(' ').map((name): [string, FieldKind] => [name, kind])),
    );
    this.names = [...this.kinds.keys()];
  }

  /** Whether every portal has it, unlike a custom field. */
  has(name: string): boolean {
    return this.kinds.has(name);
  }

  /** A custom field (`ufCrm…`) or a parent's (`parentId…`) counts as known: portals differ in them. */
  kindOf(name: string): FieldKind | undefined {
    const kind = this.kinds.get(name);
    if (kind) return kind;
    if (/^parentId\d+$/.test(name)) return 'number';
    return /^ufCrm\w+$/.test(name) ? 'string' : undefined;
  }

  defaultOf(name: string): Value {
    return this.defaults[name] ?? (this.kindOf(name) === 'list' ? [] : null);
  }

  isWritable(name: string): boolean {
    return this.kindOf(name) !== undefined && !this.readOnly.has(name);
  }

  /**
   * What is stored for a written value: forms bring every scalar as a string, answers show numbers as
   * numbers.
   */
  stored(name: string, value: Value): Value {
    const text = textOf(value);
    if (text === undefined) return value;
    switch (this.kindOf(name)) {
      case 'number':
        return text === '' || Number.isNaN(Number(text)) ? null : Number(text);
      case 'flag':
        return text === 'Y' || text === '1' ? 'Y' : 'N';
      case 'list':
        return text === '' ? [] : [value];
      default:
        return name.startsWith('ufCrm') ? value : text;
    }
  }
}

const mostMoments = 10_000;
const moments = new Map<number, string>();

/** `2024-07-22T18:00:08+00:00`: how Bitrix24 writes a moment. Thousands of items share one, so it is kept. */
export function momentOf(timeMs: number): string {
  const second = Math.floor(timeMs / 1000);
  let moment = moments.get(second);
  if (moment === undefined) {
    if (moments.size >= mostMoments) moments.clear();
    moment = `${new Date(second * 1000).toISOString().slice(0, 19)}+00:00`;
    moments.set(second, moment);
  }
  return moment;
}
