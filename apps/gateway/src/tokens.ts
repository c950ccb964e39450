/** Injection tokens of values that are not our classes. */
export const EVENT_BUS = Symbol('EventBus');
export const HANDLER_URL = Symbol('HandlerUrl');
export const LOG = Symbol('Log');
