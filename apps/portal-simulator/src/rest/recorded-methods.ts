import { PORTAL_USERS } from '../crm/users.js';
import { argument, integerOf, textOf, type Values } from '../protocol/php.js';
import { RestError } from '../protocol/rest-error.js';
import { formatTimestamp } from '../protocol/timestamp.js';
import { actorOf, requiredFields, userIdOf, type Call, type Method, type Outcome } from './method.js';

/** Methods that reach people: what they would do is recorded, for tests and for the page. */
export const recordedMethods: Record<string, Method> = {
  'im.notify': (call) =>
    notify(call, textOf(argument(call.params, 'type'))?.toUpperCase() === 'SYSTEM' ? 'SYSTEM' : 'USER'),
  'im.notify.personal.add': (call) => notify(call, 'USER'),
  'im.notify.system.add': (call) => notify(call, 'SYSTEM'),

  /** api-reference/tasks/tasks-task-add.md */
  'tasks.task.add'(call) {
    const fields = requiredFields(call.params);
    const title = textOf(argument(fields, 'TITLE'))?.trim() ?? '';
    if (title === '') throw new RestError('ERROR_CORE', 'Task title is not specified<br>');
    const responsibleId = integerOf(argument(fields, 'RESPONSIBLE_ID'));
    if (responsibleId === undefined)
      throw new RestError('ERROR_CORE', 'Responsible person is not specified<br>');
    if (!PORTAL_USERS.some(({ id }) => id === responsibleId)) {
      throw new RestError('ERROR_CORE', 'The user specified in the "Responsible" field was not found<br>');
    }
    const { portal } = call;
    const task = portal.recorder.tasks.add({ ...fields, CREATED_BY: userIdOf(call.caller) });
    const data = {
      FIELDS_BEFORE: 'undefined',
      FIELDS_AFTER: { ID: task.id },
      IS_ACCESSIBLE_BEFORE: 'N',
      IS_ACCESSIBLE_AFTER: 'undefined',
    };
    portal.emit('ONTASKADD', data, actorOf(call));
    return { result: { task: showTask(task.id, title, responsibleId, fields, call) } };
  },
};

/** api-reference/chats/notifications/im-notify.md */
function notify({ portal, params }: Call, type: 'USER' | 'SYSTEM'): Outcome {
  const userId = integerOf(argument(params, 'user_id') ?? argument(params, 'to')) ?? 0;
  if (userId <= 0) throw new RestError('USER_ID_EMPTY', "User ID can't be empty");
  const message = textOf(argument(params, 'message'))?.trim() ?? '';
  if (message === '') throw new RestError('MESSAGE_EMPTY', "Message can't be empty");
  const tag = textOf(argument(params, 'tag')) ?? '';
  return { result: portal.recorder.notifications.add({ userId, type, message, tag }).id };
}

function showTask(id: number, title: string, responsibleId: number, fields: Values, call: Call): Values {
  const now = formatTimestamp(call.nowMs);
  const createdBy = String(userIdOf(call.caller));
  return {
    id: String(id),
    parentId: null,
    title,
    description: textOf(argument(fields, 'DESCRIPTION')) ?? '',
    priority: '1',
    stageId: '0',
    createdBy,
    createdDate: now,
    responsibleId: String(responsibleId),
    changedBy: createdBy,
    changedDate: now,
    deadline: textOf(argument(fields, 'DEADLINE')) ?? null,
    status: '2',
    groupId: textOf(argument(fields, 'GROUP_ID')) ?? '0',
    auditors: [],
    accomplices: [],
  };
}
