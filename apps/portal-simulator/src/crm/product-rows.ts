import { INVOICE_TYPE_ID, DEAL_TYPE_ID, LEAD_TYPE_ID, QUOTE_TYPE_ID } from '../fields/standard-sets.js';
import { integerOf, textOf, treeOf, type Value, type Values } from '../protocol/php.js';

/** Short codes of the object types that have product rows (api-reference/crm/data-types.md#object_type). */
const SHORT_CODES: Readonly<Record<string, number>> = {
  L: LEAD_TYPE_ID,
  D: DEAL_TYPE_ID,
  Q: QUOTE_TYPE_ID,
  SI: INVOICE_TYPE_ID,
};

/** By a short code: `D`, `T80` for the smart process 128. Undefined for an object type without product rows. */
export function entityTypeIdOfShortCode(code: string): number | undefined {
  const known = SHORT_CODES[code];
  if (known !== undefined) return known;
  const hex = /^T([\da-f]+)$/.exec(code)?.[1];
  return hex === undefined ? undefined : Number.parseInt(hex, 16);
}

/** The product rows of all items of one portal (api-reference/crm/universal/product-rows/). */
export class ProductRows {
  private readonly byOwner = new Map<string, Values[]>();
  private lastId = 0;

  of(entityTypeId: number, ownerId: number): readonly Values[] {
    return this.byOwner.get(`${entityTypeId}:${ownerId}`) ?? [];
  }

  /** Replaces all rows of an item. @returns what they cost together */
  set(entityTypeId: number, owner: { id: number; type: string }, given: readonly Value[]): number {
    const rows = given.map((row) => this.newRow(treeOf(row), owner));
    this.byOwner.set(`${entityTypeId}:${owner.id}`, rows);
    return round(rows.reduce((sum, row) => sum + Number(row['price']) * Number(row['quantity']), 0));
  }

  remove(entityTypeId: number, ownerId: number): void {
    this.byOwner.delete(`${entityTypeId}:${ownerId}`);
  }

  /** The price is with discount and tax (crm-item-productrow-set.md). */
  private newRow(given: Values, owner: { id: number; type: string }): Values {
    this.lastId += 1;
    const price = numberIn(given['price']) ?? 0;
    const taxRate = numberIn(given['taxRate']) ?? null;
    const priceExclusive = price / (1 + (taxRate ?? 0) / 100);
    const isAbsolute = integerOf(given['discountTypeId']) === 1;
    const discountRate = isAbsolute ? 0 : (numberIn(given['discountRate']) ?? 0);
    const priceNetto = isAbsolute
      ? priceExclusive + (numberIn(given['discountSum']) ?? 0)
      : priceExclusive / (1 - Math.min(discountRate, 99) / 100);
    return {
      id: this.lastId,
      ownerId: owner.id,
      ownerType: owner.type,
      productId: integerOf(given['productId']) ?? 0,
      productName: textOf(given['productName']) ?? '',
      price,
      priceAccount: price,
      priceExclusive: round(priceExclusive),
      priceNetto: round(priceNetto),
      priceBrutto: round(priceNetto * (1 + (taxRate ?? 0) / 100)),
      quantity: numberIn(given['quantity']) ?? 1,
      discountTypeId: isAbsolute ? 1 : 2,
      discountRate,
      discountSum: round(priceNetto - priceExclusive),
      taxRate,
      taxIncluded: textOf(given['taxIncluded']) === 'Y' ? 'Y' : 'N',
      customized: 'Y',
      measureCode: integerOf(given['measureCode']) ?? 796,
      measureName: 'pcs',
      sort: integerOf(given['sort']) ?? 10,
      xmlId: '',
      type: 4,
    };
  }
}

function numberIn(value: Value | undefined): number | undefined {
  const text = textOf(value)?.trim() ?? '';
  const number = Number(text);
  return text === '' || !Number.isFinite(number) ? undefined : number;
}

function round(amount: number): number {
  return Math.round(amount * 100) / 100;
}
