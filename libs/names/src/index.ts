export type { NameOptions } from './field.js';
export { formatName } from './format-name.js';
export { findNameChanges, NAME_FIELDS, type NameChanges, nameSettings } from './name-changes.js';
