import type { FieldSet } from '../fields/field-set.js';
import { integerOf, isTree, textOf, treeOf, type Value, type Values } from '../protocol/php.js';

/** How a call writes the names of user fields: as crm.item.* does, or as they are (`useOriginalUfNames`). */
export interface Naming {
  /** What the fields of an item, or an order, are called here. */
  keys(tree: Values): Values;
  /** The same for a filter, whose keys have prefixes and whose groups are filters. */
  filter(tree: Value | undefined): Values;
  name(written: string): string;
  /** How an answer calls the field of this name. */
  shown(name: string): string;
}

const defaultNaming: Naming = {
  keys: (tree) => tree,
  filter: (tree) => treeOf(tree),
  name: (written) => written,
  shown: (name) => name,
};

/** api-reference/crm/universal/index.md, “Field Naming Conventions” */
export function namingOf(params: Values, fields: FieldSet): Naming {
  return textOf(params['useOriginalUfNames']) === 'Y' ? new OriginalNames(fields) : defaultNaming;
}

class OriginalNames implements Naming {
  private readonly inside: ReadonlyMap<string, string>;
  private readonly outside: ReadonlyMap<string, string>;

  constructor(fields: FieldSet) {
    const names = fields.userFields().map(({ name, fieldName }) => ({ name, fieldName }));
    this.inside = new Map(names.map(({ name, fieldName }) => [fieldName, name]));
    this.outside = new Map(names.map(({ name, fieldName }) => [name, fieldName]));
  }

  keys(tree: Values): Values {
    return Object.fromEntries(Object.entries(tree).map(([key, value]) => [this.name(key), value]));
  }

  filter(tree: Value | undefined): Values {
    const entries = Object.entries(treeOf(tree)).map(([key, value]): [string, Value] => {
      if (integerOf(key) !== undefined && (isTree(value) || Array.isArray(value))) {
        return [key, this.filter(value)];
      }
      const [, prefix = '', name = ''] = /^([!<=>@%]*)(.*)$/s.exec(key) ?? [];
      return [prefix + this.name(name), value];
    });
    return Object.fromEntries(entries);
  }

  name(written: string): string {
    return this.inside.get(written) ?? written;
  }

  shown(name: string): string {
    return this.outside.get(name) ?? name;
  }
}
