export { type PortalAccess, type TokenStore, webhookTokens } from './rest/access.js';
export { AddressError, assertCallable } from './http/address.js';
export type { RestResponse, RequestTime } from './rest/response.js';
export { classify, type ErrorClass, type Recovery, recoveryFor } from './rest/classify.js';
export { type Command, type CommandOutcome, MAX_BATCH_COMMANDS } from './rest/batch.js';
export { Bitrix24Error, type Bitrix24ErrorDetails } from './rest/errors.js';
export type { Delivered, ResponseDefect } from './http/outcome.js';
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
  judgeWaits,
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
export { sleep, unlessAborted } from './rate-limit/waits.js';
export type { PlanOptions } from './batch-planner/execute-plan.js';
export { isSplittable, isTooLarge } from './batch-planner/failure.js';
export type { BatchClient, Outcome } from './batch-planner/plan.js';
export { type ItemOutcome, type ItemQuery, readItems } from './batch-planner/read-items.js';
export { type Write, writeAll } from './batch-planner/write-all.js';
export { type CallOptions, PortalClient, type PortalClientOptions } from './portal-client.js';
export { holdsReference, type Params, type ParamValue } from './rest/query.js';
export type { RequestOutcome } from './rest/sender.js';
