import { Rejection } from './rejection.js';

/**
 * A CRM object type as templates name it.
 * @typedef {object} Entity
 * @property {number} entityTypeId
 * @property {string} type of its typed items (`ItemType` of `@relay/bitrix24`)
 * @property {string} one
 * @property {string} many
 * @property {string} field a text of each item, which the generated handler tidies
 * @property {string[]} events those of a new and of a changed item
 * @property {RegExp} own the names of all of its events
 */

/** `api-reference/crm/data-types.md` */
const STANDARD = new Map(
  /** @type {[string, { entityTypeId: number, many: string, field?: string }][]} */ ([
    ['lead', { entityTypeId: 1, many: 'leads' }],
    ['deal', { entityTypeId: 2, many: 'deals' }],
    ['contact', { entityTypeId: 3, many: 'contacts', field: 'lastName' }],
    ['company', { entityTypeId: 4, many: 'companies' }],
    ['quote', { entityTypeId: 7, many: 'quotes' }],
  ]),
);
const INVOICE = 31;

/** @param {string} given @returns {Entity} @throws {Rejection} */
export function parseEntity(given) {
  const one = given.toLowerCase();
  const standard = STANDARD.get(one);
  if (standard) {
    const thing = `ONCRM${one.toUpperCase()}`;
    return {
      one,
      type: one,
      field: 'title',
      ...standard,
      events: [`${thing}ADD`, `${thing}UPDATE`],
      own: new RegExp(`^${thing}(ADD|UPDATE|DELETE|MOVETOCATEGORY)$`),
    };
  }
  if (one === 'invoice') return smartProcess(INVOICE, 'invoice', 'invoices');
  if (/^[1-9]\d{0,9}$/.test(one)) return smartProcess(Number(one), 'item', 'items');
  throw new Rejection(
    `--entity is ${[...STANDARD.keys()].join(', ')}, invoice, or the entityTypeId of a smart process, such as 147`,
  );
}

/** @param {number} entityTypeId @param {string} one @param {string} many @returns {Entity} */
function smartProcess(entityTypeId, one, many) {
  return {
    entityTypeId,
    type: one === 'item' ? 'smartProcess' : one,
    one,
    many,
    field: 'title',
    events: ['ADD', 'UPDATE'].map((change) => `ONCRMDYNAMICITEM${change}_${entityTypeId}`),
    own: new RegExp(`^ONCRMDYNAMICITEM(ADD|UPDATE|DELETE)_${entityTypeId}$`),
  };
}
