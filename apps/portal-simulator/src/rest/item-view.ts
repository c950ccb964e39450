import type { FieldSet } from '../fields/field-set.js';
import type { ItemStore } from '../items/item-store.js';
import type { Item } from '../items/item.js';
import { clientEndpoint } from '../oauth/installation.js';
import { integerOf, isTree, textOf, treeOf, type Value, type Values } from '../protocol/php.js';
import type { Call } from './method.js';

interface ViewOptions {
  /** Only these fields, by the names of crm.item.*. */
  select?: readonly string[] | undefined;
  /** How a field is called in what is shown. */
  shown?: (name: string) => string;
  /** What a file looks like to whoever asks. */
  showFile?: ShowFile;
}

type ShowFile = (fileId: Value, of: { itemId: number; entityTypeId: number; fieldName: string }) => Values;

interface Column {
  name: string;
  shownAs: string;
  isDisabled: boolean;
  /** Of a user field for files: `UF_CRM_…`. */
  fileFieldName?: string;
}

/** Items of one type as `crm.item.*` shows them. Columns are worked out once: 2,500 items make one batch. */
export class ItemView {
  private readonly columns: readonly Column[];
  private readonly isWhole: boolean;

  constructor(
    private readonly store: ItemStore,
    private readonly options: ViewOptions = {},
  ) {
    const { select, shown } = options;
    const { fields } = store;
    this.isWhole = select === undefined;
    const names = select ?? fields.names;
    this.columns = names
      .filter((name) => this.isWhole || fields.kindOf(name))
      .map((name) => {
        const file = fields.userField(name);
        return {
          name,
          shownAs: shown?.(name) ?? name,
          isDisabled: fields.isDisabled(name),
          ...(file?.type === 'file' && { fileFieldName: file.fieldName }),
        };
      });
  }

  show(item: Item): Values {
    const { store } = this;
    const shown: Values = {};
    for (const { name, shownAs, isDisabled, fileFieldName } of this.columns) {
      const value = isDisabled ? null : store.valueOf(item, name);
      shown[shownAs] = fileFieldName === undefined ? value : this.files(value, item.id, fileFieldName);
    }
    if (this.isWhole) {
      for (const name of Object.keys(item.fields))
        if (!store.fields.has(name)) shown[name] = store.valueOf(item, name);
    }
    return shown;
  }

  private files(value: Value, itemId: number, fieldName: string): Value {
    if (Array.isArray(value)) return value.map((one) => this.files(one, itemId, fieldName));
    const { showFile } = this.options;
    if (!isTree(value) || !showFile) return value;
    return showFile(value['id'] ?? null, { itemId, entityTypeId: this.store.entityTypeId, fieldName });
  }
}

/**
 * A file in an item (api-reference/files/how-to-update-files.md): the address for machines carries the authorization of whoever
 * asked, so it is another one at every call, and a secret.
 */
export function fileView({ portal, caller }: Call): ShowFile {
  const { name, domain } = portal.identity;
  const rest = clientEndpoint(portal.installation?.baseUrl ?? `https://${domain}`, name);
  const action = 'crm.controller.item.getFile';
  const machine =
    caller.kind === 'application'
      ? `${rest}${action}.json?auth=${caller.access.token}&token=crm%7C`
      : `${rest}${caller.userId}/${caller.secret}/${action}.json?token=crm%7C`;
  const page = `https://${domain}/bitrix/services/main/ajax.php?action=${action}&SITE_ID=s1`;
  return (id, { itemId, entityTypeId, fieldName }) => {
    const file = `entityTypeId=${entityTypeId}&id=${itemId}&fieldName=${fieldName}&fileId=${textOf(id) ?? ''}`;
    return {
      id,
      url: `${page}&${file}`,
      urlMachine: machine + Buffer.from(file).toString('base64url'),
    };
  };
}

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
