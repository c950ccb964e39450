import type { Values } from '../protocol/php.js';
import type { UserFieldType } from './user-field.js';

const MOMENT = { DEFAULT_VALUE: { TYPE: 'NONE', VALUE: '' } };
const LIST = { DISPLAY: 'LIST', LIST_HEIGHT: 1 };
const TEXT = { SIZE: 20, ROWS: 1, MIN_LENGTH: 0, MAX_LENGTH: 0, DEFAULT_VALUE: '' };

/**
 * `settings` of a new user field (api-reference/crm/universal/crm-item-add.md, “Custom fields used in the example”;
 * userfieldconfig/userfieldconfig-add.md).
 */
export const initialSettings: Readonly<Record<UserFieldType, Values>> = {
  string: { ...TEXT, REGEXP: '' },
  integer: { SIZE: 20, MIN_VALUE: 0, MAX_VALUE: 0, DEFAULT_VALUE: null },
  double: { PRECISION: 2, SIZE: 20, MIN_VALUE: 0, MAX_VALUE: 0, DEFAULT_VALUE: null },
  boolean: { DEFAULT_VALUE: 0, DISPLAY: 'CHECKBOX', LABEL: ['', ''], LABEL_CHECKBOX: '' },
  date: MOMENT,
  datetime: { ...MOMENT, USE_SECOND: 'Y', USE_TIMEZONE: 'N' },
  money: { DEFAULT_VALUE: '' },
  url: { ...TEXT, POPUP: 'Y' },
  address: { SHOW_MAP: 'Y' },
  enumeration: { ...LIST, CAPTION_NO_VALUE: '', SHOW_NO_VALUE: 'Y' },
  file: {
    SIZE: 20,
    LIST_WIDTH: 0,
    LIST_HEIGHT: 0,
    MAX_SHOW_SIZE: 0,
    MAX_ALLOWED_SIZE: 0,
    EXTENSIONS: [],
    TARGET_BLANK: 'Y',
  },
  crm: { LEAD: 'N', CONTACT: 'Y', COMPANY: 'Y', DEAL: 'Y' },
  crm_status: { ENTITY_TYPE: 'SOURCE' },
  employee: {},
  iblock_section: { ...LIST, IBLOCK_ID: 1, DEFAULT_VALUE: '', ACTIVE_FILTER: 'N' },
  iblock_element: { ...LIST, IBLOCK_ID: 1, DEFAULT_VALUE: '', ACTIVE_FILTER: 'N' },
};
