import type { Item } from '../items/item.js';
import type { ItemStore } from '../items/item-store.js';
import { isTree, type Value, type Values } from '../protocol/php.js';

export interface ViewOptions {
  /** Only these fields, by the names of crm.item.*. */
  select?: readonly string[] | undefined;
  /** How a field is called in what is shown. */
  shown?: (name: string) => string;
  /** What a file looks like to whoever asks. */
  showFile?: ShowFile;
}

export type ShowFile = (
  fileId: Value,
  of: { itemId: number; entityTypeId: number; fieldName: string },
) => Values;

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
