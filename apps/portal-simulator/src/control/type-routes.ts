import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Crm, FieldOfType } from '../crm/crm.js';
import { showSmartProcess, type SmartProcess } from '../crm/smart-processes.js';
import { OWNER_ID } from '../crm/users.js';
import { USER_FIELD_TYPES, type UserField, type UserFieldType } from '../fields/field.js';
import { ALL_SETTINGS } from '../fields/standard-sets.js';
import type { NewUserField } from '../fields/user-fields.js';
import { ControlError, textBody } from '../http/http-server.js';
import { integerOf } from '../protocol/php.js';
import { showUserField } from '../rest/user-field-methods.js';
import {
  portalPath,
  controlRequests,
  namedPortal,
  parseNumber,
  parseControl,
  type ControlDependencies,
  type PortalRoute,
} from './control-requests.js';

type NewFieldRequest = Omit<NewUserField, 'fieldName'> & { fieldName?: string | undefined };

/** Field names end with the time at which the field was added, as in the web interface of Bitrix24. */
const FIRST_POSTFIX = 1_720_000_000_001;

interface TypeRoute {
  Params: { name: string; type: string };
}

interface FieldRoute {
  Params: { name: string; type: string; field: string };
}

const OWNER = { userId: OWNER_ID };

/** Routes that change smart processes and user fields as an administrator does in the browser. */
export function addTypeRoutes(app: FastifyInstance, { portals }: ControlDependencies): void {
  app.get<PortalRoute>(portalPath('/types'), (request) =>
    namedPortal(portals, request)
      .crm.types.all()
      .map((type) => showSmartProcess(type)),
  );

  app.post<PortalRoute>(portalPath('/types'), (request, reply) => {
    const { crm } = namedPortal(portals, request);
    const { entityTypeId, fields, ...properties } = parseControl(controlRequests.type, textBody(request));
    const type = crm.addType(entityTypeId, { ...ALL_SETTINGS, ...properties }, OWNER);
    addFields(crm, type.entityTypeId, fields);
    reply.code(201);
    return showSmartProcess(type);
  });

  app.patch<TypeRoute>(portalPath('/types/:type'), (request) => {
    const { crm } = namedPortal(portals, request);
    const type = typeIn(crm, request);
    crm.updateType(type, parseControl(controlRequests.typeChange, textBody(request)), OWNER);
    return showSmartProcess(type);
  });

  app.delete<TypeRoute>(portalPath('/types/:type'), (request) => {
    const { crm } = namedPortal(portals, request);
    const type = typeIn(crm, request);
    const items = crm.items(type.entityTypeId).size;
    crm.deleteTypeWithItems(type, OWNER);
    return { deleted: true, items };
  });

  app.get<TypeRoute>(portalPath('/types/:type/fields'), (request) => {
    const { crm } = namedPortal(portals, request);
    return crm.objects
      .userFields(parseNumber(request.params.type))
      .all()
      .map((field) => showUserField(field));
  });

  app.post<TypeRoute>(portalPath('/types/:type/fields'), (request, reply) => {
    const { crm } = namedPortal(portals, request);
    const newFields = parseControl(controlRequests.newFields, textBody(request));
    const added = addFields(crm, parseNumber(request.params.type), newFields);
    reply.code(201);
    return added.map((field) => showUserField(field));
  });

  app.patch<FieldRoute>(portalPath('/types/:type/fields/:field'), (request) => {
    const { crm } = namedPortal(portals, request);
    const change = parseControl(controlRequests.fieldChange, textBody(request));
    return showUserField(crm.userFields.update(fieldIn(crm, request), change, OWNER));
  });

  app.delete<FieldRoute>(portalPath('/types/:type/fields/:field'), (request) => {
    const { crm } = namedPortal(portals, request);
    crm.userFields.delete(fieldIn(crm, request), OWNER);
    return { deleted: true };
  });
}

/** @throws ControlError 404 */
function typeIn(crm: Crm, { params }: FastifyRequest<TypeRoute>): SmartProcess {
  const type = crm.types.findByEntityType(parseNumber(params.type));
  if (!type) throw new ControlError(`the smart process ${params.type} does not exist`, 404);
  return type;
}

/** By its id or either of its names. @throws ControlError 404 */
function fieldIn(crm: Crm, { params }: FastifyRequest<FieldRoute>): FieldOfType {
  const entityTypeId = parseNumber(params.type);
  const fields = crm.objects.userFields(entityTypeId);
  const field =
    fields.findById(integerOf(params.field) ?? 0) ??
    fields.get(params.field) ??
    fields.findByFieldName(params.field);
  if (!field) throw new ControlError(`the user field ${params.field} does not exist`, 404);
  return { entityTypeId, field };
}

/** `every` adds one field of each type, and one with many values of each. @throws ControlError 409 */
export function addFields(
  crm: Crm,
  entityTypeId: number,
  newFields: 'every' | readonly NewFieldRequest[],
): UserField[] {
  const fields = crm.objects.userFields(entityTypeId);
  return (newFields === 'every' ? oneOfEachType() : newFields).map((newField) => {
    const postfix = FIRST_POSTFIX + fields.all().length;
    const fieldName = newField.fieldName ?? `${fields.prefix}${postfix}`;
    const field = crm.userFields.add(entityTypeId, { ...newField, fieldName }, { userId: OWNER_ID });
    if (!field) throw new ControlError(`the field ${fieldName} exists already`, 409);
    return field;
  });
}

function oneOfEachType(): NewFieldRequest[] {
  return USER_FIELD_TYPES.flatMap((type) => [
    newFieldOf(type, false),
    ...(type === 'boolean' ? [] : [newFieldOf(type, true)]),
  ]);
}

function newFieldOf(type: UserFieldType, isMultiple: boolean): NewFieldRequest {
  const name = type.charAt(0).toUpperCase() + type.slice(1).replaceAll('_', ' ');
  const items = ['Red', 'Green', 'Blue', 'Синій'].map((value) => ({ value }));
  return {
    type,
    isMultiple,
    label: isMultiple ? `${name}, several` : name,
    ...(type === 'enumeration' && { items }),
  };
}
