import { OWNER_ID } from '../crm/actor.js';
import type { Crm } from '../crm/crm.js';
import type { UserField, UserFieldType } from '../fields/user-field.js';
import { USER_FIELD_TYPES } from '../fields/user-field.js';
import type { NewUserField } from '../fields/user-fields.js';
import { ControlError } from '../http/control-error.js';

export type FieldOrder = Omit<NewUserField, 'fieldName'> & { fieldName?: string | undefined };

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
