export { type PortalAccess, type TokenStore, webhookTokens } from './access.js';
export { AddressError, assertCallable } from './address.js';
export type { RestResponse, RequestTime } from './response.js';
export { classify, type ErrorClass, type Recovery, recoveryFor } from './classify.js';
export { type Command, type CommandOutcome, MAX_BATCH_COMMANDS } from './batch.js';
export { Bitrix24Error, type Bitrix24ErrorDetails } from './errors.js';
export type { Delivered, ResponseDefect } from './outcome.js';
export { type Item, listOf, type ListParams, PAGE_SIZE } from './listing.js';
export {
  OAuthError,
  OAuthServer,
  type OAuthServerOptions,
  OAuthServers,
  type OAuthServersOptions,
  type TokenGrant,
} from './oauth-server.js';
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
export { holdsReference, type Params, type ParamValue } from './query.js';
export type { RequestOutcome } from './sender.js';
