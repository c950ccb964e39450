import { describe, expect, it } from '@jest/globals';
import { restName } from './field.js';

describe('restName', () => {
  /** The table of api-reference/crm/universal/index.md, “Field Naming Conventions”, and the names around it. */
  it.each([
    ['UF_CRM_3_DIGIT', 'ufCrm3Digit'],
    ['UF_CRM_3_1747309727', 'ufCrm3_1747309727'],
    ['UF_CRM_3_DIGIT10', 'ufCrm_3_DIGIT10'],
    ['UF_CRM_3_DIGIT_10', 'ufCrm_3_DIGIT_10'],
    ['UF_CRM_1747309879', 'ufCrm_1747309879'],
    ['UF_CRM_44_LAST_PRICE', 'ufCrm44LastPrice'],
    ['UF_CRM_SMART_INVOICE_1747309727', 'ufCrm_SMART_INVOICE_1747309727'],
  ])('turns %s into %s', (fieldName, name) => {
    expect(restName(fieldName)).toBe(name);
  });
});
