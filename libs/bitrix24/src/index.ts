export { type PortalAccess, type TokenStore, webhookTokens } from './access.js';
export { AddressError, assertCallable } from './address.js';
export type { Answer, RequestTime } from './answer.js';
export { classify, type ErrorClass, type Recovery, recoveryFor } from './classify.js';
export { type Command, type CommandOutcome, MAX_BATCH_COMMANDS } from './batch.js';
export { type AnswerFault, Bitrix24Error, type Bitrix24ErrorDetails, type Delivered } from './errors.js';
export { listOf } from './list-of.js';
export type { Item, ListParams } from './listing.js';
export { OAuthError, OAuthServer, type OAuthServerOptions, type TokenGrant } from './oauth-server.js';
export { OAuthServers, type OAuthServersOptions } from './oauth-servers.js';
export type { SharedBucket } from './pace/bucket-line.js';
export {
  type Bucket,
  bucketRules,
  emptyBucket,
  enterpriseLimit,
  giveBackPlace,
  grantPlace,
  leakBucket,
  lowerBucket,
  refusePlace,
  type RateLimit,
  takePlace,
  type Taken,
  untilTurn,
  usualLimit,
} from './pace/bucket.js';
export { LocalPace } from './pace/local-pace.js';
export { claimCalls, isHarmless, observeUsage, pausedOf, type SlowedMethod } from './pace/operating-time.js';
export type { MethodUsage, Pace, Work } from './pace/pace.js';
export { SharedPace, type SharedOperatingTimes } from './pace/shared-pace.js';
export { unlessAborted } from './pace/waiting.js';
export type { PlanOptions } from './planner/carry-out.js';
export { isSplittable, isTooLarge } from './planner/failure.js';
export type { BatchClient, Outcome } from './planner/job.js';
export { type ItemOutcome, type ItemQuery, readItems } from './planner/read-items.js';
export { type Write, writeAll } from './planner/write-all.js';
export { type CallOptions, PortalClient, type PortalClientOptions } from './portal-client.js';
export { holdsReference, type Params, type ParamValue } from './query.js';
export type { RequestOutcome } from './sender.js';
