import { entityTypeIdOfShortCode } from '../crm/product-rows.js';
import { PRODUCT_ROW_FIELDS } from '../fields/standard-sets.js';
import { integerOf, listOf, textOf, treeOf, type Value } from '../protocol/php.js';
import { missingParameter, RestError } from '../protocol/rest-error.js';
import { requiredInteger, userIdOf, type Call, type Method } from './method.js';
import { listRows } from './row-list.js';

/** `crm.item.productrow.*` (api-reference/crm/universal/product-rows/). They emit no event. */
export const productRowMethods: Record<string, Method> = {
  'crm.item.productrow.list'(call) {
    const { portal, params } = call;
    const filter = treeOf(params['filter']);
    const ownerType = textOf(filter['=ownerType']);
    const ownerId = integerOf(filter['=ownerId']);
    if (ownerType === undefined) throw missingParameter('=ownerType');
    if (ownerId === undefined) throw missingParameter('=ownerId');
    const owner = ownerOf(call, ownerType, ownerId);
    const { rows, ...page } = listRows(
      portal.crm.productRows.of(owner.entityTypeId, ownerId),
      PRODUCT_ROW_FIELDS,
      {
        filter,
        order: params['order'],
        start: params['start'],
      },
    );
    return { result: { productRows: rows }, ...page };
  },

  'crm.item.productrow.set'(call) {
    const { portal, params } = call;
    const ownerId = requiredInteger(params, 'ownerId');
    const ownerType = textOf(params['ownerType']);
    if (ownerType === undefined) throw missingParameter('ownerType');
    const given: Value | undefined = params['productRows'];
    if (given === undefined) throw missingParameter('productRows');
    const { entityTypeId } = ownerOf(call, ownerType, ownerId);
    portal.crm.setProductRows(entityTypeId, { id: ownerId, type: ownerType }, listOf(given));
    return { result: { productRows: [...portal.crm.productRows.of(entityTypeId, ownerId)] } };
  },
};

/** @throws RestError ENTITY_TYPE_NOT_SUPPORTED, OWNER_NOT_FOUND, or ACCESS_DENIED if the item is hidden */
function ownerOf({ portal, caller }: Call, ownerType: string, ownerId: number): { entityTypeId: number } {
  const entityTypeId = entityTypeIdOfShortCode(ownerType);
  if (entityTypeId === undefined) {
    throw new RestError('ENTITY_TYPE_NOT_SUPPORTED', 'Working with this type of objects is not supported');
  }
  const { crm } = portal;
  if (!crm.items(entityTypeId).get(ownerId)) throw new RestError('OWNER_NOT_FOUND', 'Owner was not found');
  if (crm.rights.hiddenFrom(userIdOf(caller), entityTypeId)?.(ownerId) === true) {
    throw new RestError('ACCESS_DENIED', 'Access denied');
  }
  return { entityTypeId };
}
