import type { Value, Values } from '../protocol/php.js';
import type { FieldKind } from './field-kind.js';

/** A field that every portal has (api-reference/crm/universal/crm-item-fields.md). */
export interface StandardField {
  name: string;
  /** As `crm.item.fields` says: `integer`, `crm_status`, … */
  type: string;
  title: string;
  /** Set by Bitrix24 itself: a written value is ignored. */
  isReadOnly?: boolean;
  isMultiple?: boolean;
  isRequired?: boolean;
  /** What is there by default; else null, or an empty list. */
  initial?: Value;
  settings?: Values;
  /** The setting of a smart process without which it has no such field (object-fields.md#spa). */
  onlyIf?: string;
  /** Shown with an item, but unknown to `crm.item.fields`. */
  isHidden?: boolean;
}

const numbers = 'integer double user crm_company crm_contact crm_category crm_entity crm_lead'.split(' ');

export function kindOfStandard({ type, isMultiple }: StandardField): FieldKind {
  if (isMultiple === true) return 'list';
  if (numbers.includes(type)) return 'number';
  if (type === 'boolean') return 'flag';
  if (type === 'date' || type === 'datetime') return type;
  return 'string';
}
