import type { Category, Status } from '../crm/pipelines.js';
import { DEAL_TYPE_ID, STATUS_FIELDS } from '../fields/standard-sets.js';
import { argument, integerOf, textOf, type Values } from '../protocol/php.js';
import { accessDenied, RestError } from '../protocol/rest-error.js';
import { isAdministrator, requiredFields, requiredInteger, type Method } from './method.js';
import { listRows } from './row-list.js';

/** `crm.category.*` and `crm.status.*` (api-reference/crm/universal/category/, api-reference/crm/status/). */
export const pipelineMethods: Record<string, Method> = {
  'crm.category.list'({ portal, params }) {
    const entityTypeId = requiredInteger(params, 'entityTypeId');
    portal.crm.items(entityTypeId);
    const categories = portal.crm.pipelines
      .categories(entityTypeId)
      .map((category) => showCategory(category));
    return { result: { categories }, total: categories.length };
  },

  'crm.category.add'({ portal, params, caller }) {
    if (!isAdministrator({ portal, caller })) throw accessDenied();
    const entityTypeId = requiredInteger(params, 'entityTypeId');
    portal.crm.items(entityTypeId);
    const fields = requiredFields(params);
    const name = textOf(fields['name'])?.trim() ?? '';
    if (name === '') throw new RestError('0', "Field 'NAME' is required");
    portal.crm.pipelines.categories(entityTypeId);
    const sort = integerOf(fields['sort']);
    return {
      result: { category: showCategory(portal.crm.pipelines.addCategory(entityTypeId, { name, sort })) },
    };
  },

  'crm.status.list'({ portal, params }) {
    const { rows, ...page } = listRows(
      portal.crm.pipelines.all().map((status) => showStatus(status)),
      STATUS_FIELDS,
      {
        filter: argument(params, 'filter'),
        order: argument(params, 'order'),
        start: argument(params, 'start'),
      },
    );
    return { result: rows, ...page };
  },
};

function showCategory({ id, name, sort, entityTypeId, isDefault }: Category): Values {
  return {
    id,
    name,
    sort,
    entityTypeId,
    isDefault: isDefault ? 'Y' : 'N',
    ...(entityTypeId === DEAL_TYPE_ID ? { originId: '', originatorId: '' } : { isSystem: 'N', code: '' }),
  };
}

const COLORS = { P: '#39A8EF', S: '#7BD500', F: '#FF5752' } as const;
const SEMANTICS = { P: 'process', S: 'success', F: 'failure' } as const;

/** Every scalar is a string, as in all methods with upper case names. */
function showStatus({ id, entityId, statusId, name, sort, isSystem, stage }: Status): Values {
  return {
    ID: String(id),
    ENTITY_ID: entityId,
    STATUS_ID: statusId,
    NAME: name,
    NAME_INIT: isSystem ? name : '',
    SORT: String(sort),
    SYSTEM: isSystem ? 'Y' : 'N',
    // Null for the general pipeline of deals.
    CATEGORY_ID: stage?.categoryId ? String(stage.categoryId) : null,
    COLOR: stage ? COLORS[stage.semantics] : '',
    SEMANTICS: stage && stage.semantics !== 'P' ? stage.semantics : null,
    ...(stage && { EXTRA: { SEMANTICS: SEMANTICS[stage.semantics], COLOR: COLORS[stage.semantics] } }),
  };
}
