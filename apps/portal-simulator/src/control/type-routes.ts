import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Crm, FieldOfType } from '../crm/crm.js';
import { showSmartProcess, type SmartProcess } from '../crm/smart-processes.js';
import { OWNER_ID } from '../crm/users.js';
import { USER_FIELD_TYPES, type UserField, type UserFieldType } from '../fields/field.js';
import { everySetting } from '../fields/standard-sets.js';
import type { NewUserField } from '../fields/user-fields.js';
import { ControlError, textBody } from '../http/http-server.js';
import { integerOf } from '../protocol/php.js';
import { showUserField } from '../rest/user-field-methods.js';
import {
  at,
  controlRequests,
  namedPortal,
  numberIn,
  parseControl,
  type ControlParts,
  type NamedPortal,
} from './control-requests.js';

interface TypeRoute {
  Params: { name: string; type: string };
}

interface FieldRoute {
  Params: { name: string; type: string; field: string };
}

const owner = { userId: OWNER_ID };

/** Smart processes and the user fields of object types, as an administrator changes them in her browser. */
export function addTypeRoutes(app: FastifyInstance, { portals }: ControlParts): void {
  app.get<NamedPortal>(at('/types'), (request) =>
    namedPortal(portals, request)
      .crm.types.all()
      .map((type) => showSmartProcess(type)),
  );

  app.post<NamedPortal>(at('/types'), (request, reply) => {
    const { crm } = namedPortal(portals, request);
    const { entityTypeId, fields, ...order } = parseControl(controlRequests.type, textBody(request));
    const type = crm.addType(entityTypeId, { ...everySetting, ...order }, owner);
    addFields(crm, type.entityTypeId, fields);
    reply.code(201);
    return showSmartProcess(type);
  });

  app.patch<TypeRoute>(at('/types/:type'), (request) => {
    const { crm } = namedPortal(portals, request);
    const type = typeIn(crm, request);
    crm.updateType(type, parseControl(controlRequests.typeChange, textBody(request)), owner);
    return showSmartProcess(type);
  });

  app.delete<TypeRoute>(at('/types/:type'), (request) => {
    const { crm } = namedPortal(portals, request);
    const type = typeIn(crm, request);
    const items = crm.items(type.entityTypeId).size;
    crm.dropType(type, owner);
    return { deleted: true, items };
  });

  app.get<TypeRoute>(at('/types/:type/fields'), (request) => {
    const { crm } = namedPortal(portals, request);
    return crm.objects
      .userFields(numberIn(request.params.type))
      .all()
      .map((field) => showUserField(field));
  });

  app.post<TypeRoute>(at('/types/:type/fields'), (request, reply) => {
    const { crm } = namedPortal(portals, request);
    const orders = parseControl(controlRequests.newFields, textBody(request));
    const added = addFields(crm, numberIn(request.params.type), orders);
    reply.code(201);
    return added.map((field) => showUserField(field));
  });

  app.patch<FieldRoute>(at('/types/:type/fields/:field'), (request) => {
    const { crm } = namedPortal(portals, request);
    const change = parseControl(controlRequests.fieldChange, textBody(request));
    return showUserField(crm.userFields.update(fieldIn(crm, request), change, owner));
  });

  app.delete<FieldRoute>(at('/types/:type/fields/:field'), (request) => {
    const { crm } = namedPortal(portals, request);
    crm.userFields.delete(fieldIn(crm, request), owner);
    return { deleted: true };
  });
}

/** @throws ControlError 404 */
function typeIn(crm: Crm, { params }: FastifyRequest<TypeRoute>): SmartProcess {
  const type = crm.types.ofEntityType(numberIn(params.type));
  if (!type) throw new ControlError(`there is no smart process ${params.type}`, 404);
  return type;
}

/** By its number or either of its names. @throws ControlError 404 */
function fieldIn(crm: Crm, { params }: FastifyRequest<FieldRoute>): FieldOfType {
  const entityTypeId = numberIn(params.type);
  const fields = crm.objects.userFields(entityTypeId);
  const field =
    fields.ofId(integerOf(params.field) ?? 0) ?? fields.get(params.field) ?? fields.ofFieldName(params.field);
  if (!field) throw new ControlError(`there is no user field ${params.field}`, 404);
  return { entityTypeId, field };
}

type FieldOrder = Omit<NewUserField, 'fieldName'> & { fieldName?: string | undefined };

/** Names as the interface of Bitrix24 makes them: the time at which the field was added. */
const FIRST_POSTFIX = 1_720_000_000_001;

/** `every`: one field of each type, and one of each that takes many values. @throws ControlError 409 */
export function addFields(
  crm: Crm,
  entityTypeId: number,
  orders: 'every' | readonly FieldOrder[],
): UserField[] {
  const fields = crm.objects.userFields(entityTypeId);
  return (orders === 'every' ? everyType() : orders).map((order) => {
    const postfix = FIRST_POSTFIX + fields.all().length;
    const fieldName = order.fieldName ?? `UF_${fields.entityId}_${postfix}`;
    const field = crm.userFields.add(entityTypeId, { ...order, fieldName }, { userId: OWNER_ID });
    if (!field) throw new ControlError(`there is a field ${fieldName} already`, 409);
    return field;
  });
}

function everyType(): FieldOrder[] {
  return USER_FIELD_TYPES.flatMap((type) => [
    orderOf(type, false),
    ...(type === 'boolean' ? [] : [orderOf(type, true)]),
  ]);
}

function orderOf(type: UserFieldType, isMultiple: boolean): FieldOrder {
  const name = type.charAt(0).toUpperCase() + type.slice(1).replaceAll('_', ' ');
  const items = ['Red', 'Green', 'Blue', 'Синій'].map((value) => ({ value }));
  return {
    type,
    isMultiple,
    label: isMultiple ? `${name}, several` : name,
    ...(type === 'enumeration' && { items }),
  };
}
