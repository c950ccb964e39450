/**
 * How values of a field are kept and compared. `flag`: Y or N; `userFlag`: shown as Y or N too, but a filter takes
 * 1 or 0 (api-reference/crm/universal/crm-item-list.md); `date`: a moment that is the beginning of a day.
 */
export type FieldKind = 'number' | 'string' | 'datetime' | 'date' | 'flag' | 'userFlag' | 'list' | 'object';
