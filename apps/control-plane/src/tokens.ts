/** Injection tokens of values that are not our classes. */
export const ALLOW_HOSTS = Symbol('AllowHosts');
export const HANDLER_URL = Symbol('HandlerUrl');
export const LEADER_LEASE = Symbol('LeaderLease');
export const LOG = Symbol('Log');
