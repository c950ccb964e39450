export { type PortalAccess, type TokenStore, webhookTokens } from './rest/access.js';
export { AddressError, assertCallable } from './http/ssrf-guard.js';
export { mayHaveRun } from './may-have-run.js';
export { ENTITY_TYPE_IDS, type ItemOf, type ItemType, toItem } from './crm-items.js';
export type { RestResponse, RequestTime } from './rest/response.js';
export { classify, type ErrorClass, type Recovery, recoveryFor } from './rest/classify.js';
export { type Command, type CommandOutcome, MAX_BATCH_COMMANDS } from './rest/batch.js';
export { Bitrix24Error, type Bitrix24ErrorDetails } from './rest/errors.js';
export { type Delivered, type HttpResult, post, type PostRequest } from './http/http-request.js';
export type { ResponseDefect } from './http/response-reader.js';
export {
  type EventHandler,
  hasHandler,
  listHandlers,
  type ListedHandlers,
  type OfflineHandler,
  readHandlers,
  unbindCommand,
} from './event-handlers.js';
export {
  bindOfflineCommand,
  clearReserved,
  clearUnreadable,
  listOfflineHandlers,
  listReserved,
  listWaiting,
  MAX_OFFLINE_RECORDS,
  type OfflineAccess,
  type OfflineBatch,
  type OfflineRecord,
  type ProcessId,
  readOfflineAccess,
  readReserved,
  reserveRecords,
  takeRecords,
  toProcessId,
  unbindOfflineCommand,
} from './offline-events.js';
export { type Item, listOf, type ListParams, PAGE_SIZE } from './rest/listing.js';
export {
  OAuthError,
  OAuthServer,
  type OAuthServerOptions,
  OAuthServers,
  type OAuthServersOptions,
  type TokenGrant,
} from './oauth/oauth-server.js';
export { BUCKET_RULES, DEFAULT_LIMIT, ENTERPRISE_LIMIT, type RateLimit } from './rate-limit/bucket.js';
export { InMemoryRateLimiter } from './rate-limit/in-memory-rate-limiter.js';
export {
  isBelowThreshold,
  splitWaits,
  observeUsage,
  reserveCalls,
  throttledOf,
  type ThrottledMethod,
} from './rate-limit/operating-time.js';
export {
  canBeSent,
  type MethodUsage,
  type Priority,
  type RateLimiter,
  type RequestToAdmit,
  type Throttled,
} from './rate-limit/rate-limiter.js';
export { sleep, unlessAborted } from './rate-limit/rate-limiter.js';
export type { PlanOptions } from './batch-planner/execute-plan.js';
export { isSplittable, isTooLarge } from './batch-planner/failure.js';
export type { BatchClient, Outcome } from './batch-planner/plan.js';
export { type ItemOutcome, type ItemQuery, readItems } from './batch-planner/read-items.js';
export { wholeRequests } from './batch-planner/whole-requests.js';
export { type Write, writeAll } from './batch-planner/write-all.js';
export { type CallOptions, PortalClient, type PortalClientOptions } from './portal-client.js';
export { readUserFields, type UserField, type UserFields } from './user-fields.js';
export { holdsReference, type Params, type ParamValue } from './rest/query.js';
export type { RequestOutcome } from './rest/sender.js';
