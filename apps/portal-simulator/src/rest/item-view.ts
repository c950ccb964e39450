import type { FieldSet } from '../fields/field-set.js';
import type { ItemStore } from '../items/item-store.js';
import type { Item } from '../items/item.js';
import { clientEndpoint } from '../oauth/installation.js';
import { integerOf, isTree, textOf, treeOf, type Value, type Values } from '../protocol/php.js';
import type { Call } from './method.js';

interface ViewOptions {
  /** Only these fields, by their names in crm.item.*. */
  select?: readonly string[] | undefined;
  /** The shown name of a field. */
  shown?: (name: string) => string;
  /** The view of a file for the caller. */
  showFile?: ShowFile;
}

type ShowFile = (fileId: Value, of: { itemId: number; entityTypeId: number; fieldName: string }) => Values;

interface Column {
  name: string;
  shownAs: string;
  isDisabled: boolean;
  /** `UF_CRM_…` of a user field of type `file`. */
  fileFieldName?: string;
}

/** Shows items of one type as `crm.item.*` does. Columns are computed once: a batch shows 2,500 items. */
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
 * The view of a file in an item (api-reference/files/how-to-update-files.md). `urlMachine` contains the caller's
 * authorization: it differs at every call and is a secret.
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

/** The names of user fields in a call: those of crm.item.*, or the original ones (`useOriginalUfNames`). */
export interface Naming {
  /** Renames the keys of fields or of an order to the names of crm.item.*. */
  keys(tree: Values): Values;
  /** Renames the keys of a filter: keys have prefixes, groups are filters. */
  filter(tree: Value | undefined): Values;
  name(written: string): string;
  /** The name of a field in a response. */
  shown(name: string): string;
}

const DEFAULT_NAMING: Naming = {
  keys: (tree) => tree,
  filter: (tree) => treeOf(tree),
  name: (written) => written,
  shown: (name) => name,
};

/** api-reference/crm/universal/index.md, “Field Naming Conventions” */
export function namingOf(params: Values, fields: FieldSet): Naming {
  return textOf(params['useOriginalUfNames']) === 'Y' ? new OriginalNames(fields) : DEFAULT_NAMING;
}

class OriginalNames implements Naming {
  private readonly nameByFieldName: ReadonlyMap<string, string>;
  private readonly fieldNameByName: ReadonlyMap<string, string>;

  constructor(fields: FieldSet) {
    const names = fields.userFields().map(({ name, fieldName }) => ({ name, fieldName }));
    this.nameByFieldName = new Map(names.map(({ name, fieldName }) => [fieldName, name]));
    this.fieldNameByName = new Map(names.map(({ name, fieldName }) => [name, fieldName]));
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
    return this.nameByFieldName.get(written) ?? written;
  }

  shown(name: string): string {
    return this.fieldNameByName.get(name) ?? name;
  }
}
