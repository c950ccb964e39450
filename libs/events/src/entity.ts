import { toEntityTypeId } from './event-name.js';
import { type FormTree, textAt, treeAt } from './form-tree.js';

/** What an event is about. */
export interface EntityReference {
  entityTypeId: number;
  entityId: string | null;
  entity: string | null;
}

const DYNAMIC_ITEM = 'ONCRMDYNAMICITEM';

/** Numbers nearly always; a currency's id is a code, `CHE`. Printable ASCII, since it becomes part of a key. */
const ENTITY_ID = /^[!-~]{1,64}$/;

/**
 * Reads `data[FIELDS][ID]` and, for smart process items, `data[FIELDS][ENTITY_TYPE_ID]`.
 *
 * Where a suffix and ENTITY_TYPE_ID disagree, the suffix wins: it is what the portal chose the subscriber by.
 * In other events ENTITY_TYPE_ID is the type of an *owner* (of a document, an address) and says nothing about the entity.
 * An id that is none is read as absent rather than refused: whoever needs only `data` still gets the event.
 */
export function readEntity(name: string, suffixTypeId: number, data: FormTree): EntityReference {
  const fields = treeAt(data, 'FIELDS');
  const id = fields && textAt(fields, 'ID');
  const entityId = id !== undefined && ENTITY_ID.test(id) ? id : null;
  if (!name.startsWith(DYNAMIC_ITEM)) {
    return { entityTypeId: suffixTypeId, entityId, entity: entityKey(name, suffixTypeId, entityId) };
  }
  const entityTypeId = suffixTypeId || toEntityTypeId(fields && textAt(fields, 'ENTITY_TYPE_ID'));
  // Ids of two smart processes overlap: without the type nobody knows which item it is, and no two may be taken for one.
  const entity = entityTypeId === 0 ? null : entityKey(name, entityTypeId, entityId);
  return { entityTypeId, entityId, entity };
}

/** `CRMCONTACT:82`, `CRMDYNAMICITEM_147:5`, `CATALOG.PRICE:7`: the name without what happened. */
function entityKey(name: string, entityTypeId: number, entityId: string | null): string | null {
  if (entityId === null) return null;
  const kind = name.replace(/^ON/, '').replace(/(?:\.ON\.)?(?:ADD|UPDATE|DELETE)$/, '');
  return entityTypeId === 0 ? `${kind}:${entityId}` : `${kind}_${entityTypeId}:${entityId}`;
}
