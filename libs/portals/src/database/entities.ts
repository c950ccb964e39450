import { Column, CreateDateColumn, Entity, PrimaryColumn, UpdateDateColumn } from 'typeorm';

const SCHEMA = 'portals';

/**
 * `needs-reauth`: the refresh token is invalid, or the portal has rejected its token for long: the application must be
 * opened or installed again in the portal.
 * `needs-webhook`: the portal rejects its incoming webhook; another one must be created there.
 * `suspended`: the portal rejects all requests and is not called until `suspendedUntil`.
 */
export type PortalState = Exclude<ShownPortalState, 'resuming' | 'unreachable'>;
/**
 * Two are otherwise as `installed`. `resuming`: an operator has resumed it, and it has not responded since.
 * `unreachable`: what it posts does not reach us.
 */
export const SHOWN_PORTAL_STATES = [
  'installed',
  'resuming',
  'unreachable',
  'needs-reauth',
  'needs-webhook',
  'suspended',
  'uninstalled',
] as const;
export type ShownPortalState = (typeof SHOWN_PORTAL_STATES)[number];
export type CredentialKind = 'oauth' | 'webhook';
/** The application's own token, or that of an outgoing webhook, of which a portal can have several. */
export type ApplicationTokenKind = 'app' | 'webhook';
/**
 * Result of `event.bind`: bound; or the portal does not know the event, or requires a permission that the application
 * does not have.
 */
export type BindingState = 'bound' | 'unknown-event' | 'out-of-scope';
/** Binding wanted handlers, unbinding those that nobody wants any more, or both for the offline queue. */
export type BindingWork = 'bind' | 'unbind' | 'offline';
/**
 * How events reach us: `online`, Bitrix24 posts them; `offline`, they are read from its queue; `both`, so that none is
 * missed while the gateway is away.
 */
export type DeliveryMode = 'online' | 'offline' | 'both';
export type OfflineBindingState = 'bound' | 'unknown-event';

/** `failed`: a repeat would not help, or many did not. */
export type JobState = 'waiting' | 'running' | 'done' | 'failed';

/** Every change of a portal locks this row first and the credentials second, which prevents deadlocks. */
@Entity({ schema: SCHEMA, name: 'portals' })
export class PortalEntity {
  @PrimaryColumn('text', { name: 'member_id' }) memberId: string;
  /** Of the address below: for people, never an address to call. */
  @Column('text') domain: string;
  /** From the OAuth server, ends in `/`; the only address that is called. */
  @Column('text', { name: 'client_endpoint' }) clientEndpoint: string;
  @Column('text') state: PortalState;
  @Column('text', { array: true }) scope: string[];
  /** The application's licence status on the portal, such as `F`, `D`, `T`, `P`, `L`, `S`. */
  @Column('text') status: string;
  /** `LANGUAGE_ID` of the last install that brought one. */
  @Column('text', { nullable: true }) language: string | null;
  /** Operator settings by consumer. */
  @Column('jsonb') settings: Record<string, unknown>;
  /** The error code that suspended it; null in every state except `suspended`. */
  @Column('text', { name: 'suspended_reason', nullable: true }) suspendedReason: string | null;
  /** Time of the next probe; during a probe the end of that process's lease. */
  @Column('timestamptz', { name: 'suspended_until', nullable: true }) suspendedUntil: Date | null;
  /** Failed probes since it last worked. */
  @Column('int', { name: 'suspended_times' }) suspendedTimes: number;
  /** An operator has resumed it, and it has not responded since; only used in the state `installed`. */
  @Column('timestamptz', { name: 'resuming_since', nullable: true }) resumingSince: Date | null;
  /** Set by an operator. */
  @Column('text', { name: 'delivery_mode', default: 'both' }) deliveryMode: DeliveryMode;
  /** When its waiting work becomes due. Set by a trigger when the portal becomes `installed` again. */
  @Column('timestamptz', { name: 'wake_at', nullable: true }) wakeAt: Date | null;
  @Column('timestamptz', { name: 'installed_at' }) installedAt: Date;
  @UpdateDateColumn({ type: 'timestamptz', name: 'updated_at' }) updatedAt: Date;
}

/** The columns of a suspension, in every other state. */
export const NOT_SUSPENDED = {
  suspendedReason: null,
  suspendedUntil: null,
  suspendedTimes: 0,
  resumingSince: null,
} as const;

/** Every secret column is sealed by SecretBox. The lock on this row serializes token refreshes. */
@Entity({ schema: SCHEMA, name: 'credentials' })
export class CredentialsEntity {
  @PrimaryColumn('text', { name: 'member_id' }) memberId: string;
  @Column('text') kind: CredentialKind;
  @Column('text', { name: 'access_token', nullable: true }) accessToken: string | null;
  @Column('text', { name: 'refresh_token', nullable: true }) refreshToken: string | null;
  @Column('text', { name: 'webhook_url', nullable: true }) webhookUrl: string | null;
  @Column('timestamptz', { name: 'expires_at', nullable: true }) expiresAt: Date | null;
  /** The OAuth server of the pair; null for pairs stored before there was more than one. */
  @Column('text', { name: 'oauth_host', nullable: true }) oauthHost: string | null;
  /** Consecutive refreshes of tokens that the portal rejected as expired too early (`refresh-rate.ts`). */
  @Column('int', { name: 'early_renewals' }) earlyRefreshes: number;
  /** When the portal accepted the token after doubt; null after each refresh. */
  @Column('timestamptz', { name: 'accepted_at', nullable: true }) acceptedAt: Date | null;
  /** Since when the portal rejects the token (`credential-health.ts`). */
  @Column('timestamptz', { name: 'refused_since', nullable: true }) rejectedSince: Date | null;
  /** Time of the next probe in `needs-reauth`. */
  @Column('timestamptz', { name: 'next_probe_at', nullable: true }) nextProbeAt: Date | null;
  /** Last relocation request to the OAuth server, after a 302 of the portal. */
  @Column('timestamptz', { name: 'relocation_asked_at', nullable: true }) relocationAskedAt: Date | null;
  /** When the pair was stored; a change of the key that seals it does not count. */
  @UpdateDateColumn({ type: 'timestamptz', name: 'updated_at' }) updatedAt: Date;
}

@Entity({ schema: SCHEMA, name: 'application_tokens' })
export class ApplicationTokenEntity {
  @PrimaryColumn('text', { name: 'member_id' }) memberId: string;
  @PrimaryColumn('bytea') hash: Buffer;
  @Column('text') kind: ApplicationTokenKind;
  /** Of the pair that brought the token of an outgoing webhook. */
  @Column('text', { nullable: true }) host: string | null;
  @CreateDateColumn({ type: 'timestamptz', name: 'added_at' }) addedAt: Date;
}

/** An install that the OAuth server could not confirm yet. */
@Entity({ schema: SCHEMA, name: 'pending_installs' })
export class PendingInstallEntity {
  @PrimaryColumn('text', { name: 'member_id' }) memberId: string;
  /** SHA-256 of the refresh token: a forged claim cannot replace the true one. */
  @PrimaryColumn('bytea', { name: 'proof_hash' }) proofHash: Buffer;
  @Column('text', { name: 'sealed_claim' }) sealedClaim: string;
  @Column('int') tries: number;
  /** Hash of the key by which claims are counted together, such as a client's address; null: counted by itself. */
  @Column('bytea', { nullable: true }) source: Buffer | null;
  @Column('timestamptz', { name: 'next_try_at' }) nextTryAt: Date;
  @CreateDateColumn({ type: 'timestamptz', name: 'kept_at' }) keptAt: Date;
}

/** The one row of `TokenRequestBudget`. */
@Entity({ schema: SCHEMA, name: 'exchange_budget' })
export class TokenRequestBudgetEntity {
  @PrimaryColumn('boolean') id: boolean;
  @Column('float8') burst: number;
  @Column('float8') stock: number;
  @Column('timestamptz', { name: 'filled_at' }) filledAt: Date;
}

/** A token request of the last hour that a claim has caused. */
@Entity({ schema: SCHEMA, name: 'claim_exchanges' })
export class ClaimTokenRequestEntity {
  @PrimaryColumn('bytea', { name: 'proof_hash' }) proofHash: Buffer;
  @Column('bytea') source: Buffer;
  @Column('boolean', { name: 'refused' }) rejected: boolean;
  @Column('timestamptz', { name: 'begun_at' }) begunAt: Date;
}

@Entity({ schema: SCHEMA, name: 'subscriptions' })
export class SubscriptionEntity {
  @PrimaryColumn('text') consumer: string;
  /** Event name as the consumer wrote it, base or suffixed. */
  @PrimaryColumn('text') name: string;
  /** The consumer has not missed older events. */
  @Column('timestamptz') since: Date;
  /** Draining: its queues are not recreated until its next start. */
  @Column('timestamptz', { name: 'drained_at', nullable: true }) drainedAt: Date | null;
}

/** Subscription override: the events that a consumer wants of one portal, instead of its subscriptions. */
@Entity({ schema: SCHEMA, name: 'chosen_subscriptions' })
export class SubscriptionOverrideEntity {
  @PrimaryColumn('text', { name: 'member_id' }) memberId: string;
  @PrimaryColumn('text') consumer: string;
  @Column('text', { array: true }) names: string[];
}

@Entity({ schema: SCHEMA, name: 'event_bindings' })
export class EventBindingEntity {
  @PrimaryColumn('text', { name: 'member_id' }) memberId: string;
  @PrimaryColumn('text') name: string;
  /** The bound address; empty for bindings made before it was stored. */
  @Column('text') handler: string;
  @Column('text') state: BindingState;
  @UpdateDateColumn({ type: 'timestamptz', name: 'bound_at' }) boundAt: Date;
  /** The application's permissions at the attempt; null for bindings made before they were stored. */
  @Column('text', { array: true, nullable: true }) scope: string[] | null;
  /** The missing permission of an `out-of-scope` event, if the portal named it. */
  @Column('text', { nullable: true }) permission: string | null;
}

/** Result of `event.bind` with `event_type=offline`. */
@Entity({ schema: SCHEMA, name: 'offline_bindings' })
export class OfflineBindingEntity {
  @PrimaryColumn('text', { name: 'member_id' }) memberId: string;
  @PrimaryColumn('text') name: string;
  @Column('text') state: OfflineBindingState;
  @Column('timestamptz', { name: 'bound_at' }) boundAt: Date;
}

/** Whether the offline queue of a portal may be used, and how (`OfflineAccess` of libs/bitrix24). */
@Entity({ schema: SCHEMA, name: 'offline_access' })
export class OfflineAccessEntity {
  @PrimaryColumn('text', { name: 'member_id' }) memberId: string;
  @Column('boolean', { name: 'is_administrator' }) isAdministrator: boolean;
  @Column('boolean', { name: 'can_reserve' }) canReserve: boolean;
  @Column('boolean', { name: 'has_connector' }) hasConnector: boolean;
  /** `auth_connector` of the handlers that are bound. */
  @Column('text') connector: string;
  @Column('timestamptz', { name: 'checked_at' }) checkedAt: Date;
}

/** An address that this installation ever bound handlers to. */
@Entity({ schema: SCHEMA, name: 'handler_addresses' })
export class HandlerAddressEntity {
  @PrimaryColumn('text') address: string;
  @Column('timestamptz', { name: 'first_bound_at' }) firstBoundAt: Date;
}

/** What the last comparison of a portal's handlers with the wanted ones found (`DriftChecks`). */
@Entity({ schema: SCHEMA, name: 'drift_checks' })
export class DriftCheckEntity {
  @PrimaryColumn('text', { name: 'member_id' }) memberId: string;
  @Column('timestamptz', { name: 'next_check_at' }) nextCheckAt: Date;
  /** Null before the first comparison. */
  @Column('timestamptz', { name: 'checked_at', nullable: true }) checkedAt: Date | null;
  @Column('int') missing: number;
  @Column('int') surplus: number;
  @Column('int', { name: 'foreign_handlers' }) foreignHandlers: number;
}

/** A binding attempt in flight, or the last failed one (`EventBindingAttempts`). */
@Entity({ schema: SCHEMA, name: 'binding_attempts' })
export class BindingAttemptEntity {
  @PrimaryColumn('text', { name: 'member_id' }) memberId: string;
  @PrimaryColumn('text') work: BindingWork;
  /** The address to bind: a failure says nothing about another one. */
  @Column('text') handler: string;
  @Column('text', { array: true }) scope: string[];
  /** Since the last success. */
  @Column('int') attempts: number;
  @Column('timestamptz', { name: 'next_attempt_at' }) nextAttemptAt: Date;
  /** Id of the claim in flight; results under an older one are stale. */
  @Column('uuid', { nullable: true }) claim: string | null;
  @Column('text', { nullable: true }) error: string | null;
}

@Entity({ schema: SCHEMA, name: 'webhook_pairs' })
export class WebhookPairEntity {
  @PrimaryColumn('bytea', { name: 'token_hash' }) tokenHash: Buffer;
  @Column('text') host: string;
  @Column('text', { name: 'sealed_url' }) sealedUrl: string;
  /** The only portal that may claim it; null: the first with its token. */
  @Column('text', { name: 'member_id', nullable: true }) memberId: string | null;
  @CreateDateColumn({ type: 'timestamptz', name: 'added_at' }) addedAt: Date;
}

/** One row as `Bucket` of libs/bitrix24 describes it. */
@Entity({ schema: SCHEMA, name: 'rate_buckets' })
export class RateBucketEntity {
  @PrimaryColumn('text', { name: 'member_id' }) memberId: string;
  /** Requests a second; null, like the burst, for the default limit. */
  @Column('float8', { nullable: true }) rate: number | null;
  @Column('float8', { nullable: true }) burst: number | null;
  @Column('boolean') unlimited: boolean;
  @Column('float8', { name: 'places' }) tickets: number;
  @Column('float8') leaked: number;
  @Column('timestamptz', { name: 'leaked_at' }) leakedAt: Date;
  @Column('float8', { name: 'share' }) rateMultiplier: number;
  @Column('float8', { name: 'refused_place' }) rejectedTicket: number;
  @Column('float8', { name: 'bulk_from' }) nextBackgroundAt: number;
}

/** A method near its operating time limit, as `ThrottledMethod` of libs/bitrix24 describes it. */
@Entity({ schema: SCHEMA, name: 'operating_times' })
export class OperatingTimeEntity {
  @PrimaryColumn('text', { name: 'member_id' }) memberId: string;
  /** In lower case. */
  @PrimaryColumn('text') method: string;
  @Column('float8', { name: 'used_seconds' }) usedSeconds: number;
  @Column('timestamptz', { name: 'slow_since' }) slowSince: Date;
  @Column('timestamptz', { name: 'resets_at' }) resetsAt: Date;
  @Column('timestamptz', { name: 'next_at' }) nextAt: Date;
}

/** A job of a consumer for one portal, with the lease of the process that runs it. */
@Entity({ schema: SCHEMA, name: 'tasks' })
export class JobEntity {
  @PrimaryColumn('uuid') id: string;
  @Column('text') consumer: string;
  @Column('text', { name: 'member_id' }) memberId: string;
  @Column('text') kind: string;
  @Column('text') state: JobState;
  @Column('jsonb') progress: Record<string, unknown>;
  @Column('text', { nullable: true }) error: string | null;
  /** Failures since it last got on. */
  @Column('int') attempts: number;
  /** How often its process ended or stalled during the job, since the job last ended. */
  @Column('int', { name: 'lost_leases' }) lostLeases: number;
  /** Rerun: requested again while it was running. */
  @Column('boolean') again: boolean;
  /** The higher is taken first. */
  @Column('int') priority: number;
  /** Requested again by somebody who waits, while it was running. */
  @Column('boolean') restart: boolean;
  @Column('uuid', { nullable: true }) owner: string | null;
  @Column('timestamptz', { name: 'lease_until', nullable: true }) leaseUntil: Date | null;
  /** Not taken before. */
  @Column('timestamptz', { name: 'due_at' }) dueAt: Date;
  @Column('timestamptz', { name: 'requested_at' }) requestedAt: Date;
  @Column('timestamptz', { name: 'started_at', nullable: true }) startedAt: Date | null;
  @Column('timestamptz', { name: 'ended_at', nullable: true }) endedAt: Date | null;
}

@Entity({ schema: SCHEMA, name: 'setting_schemas' })
export class SettingSchemaEntity {
  @PrimaryColumn('text') consumer: string;
  /** JSON Schema of its settings at one portal. */
  @Column('jsonb') schema: Record<string, unknown>;
  @Column('timestamptz', { name: 'declared_at' }) declaredAt: Date;
}

/** A portal of which an operator awaits an event (`EventDeliveryProbe`). */
@Entity({ schema: SCHEMA, name: 'event_tests' })
export class EventTestEntity {
  @PrimaryColumn('text', { name: 'member_id' }) memberId: string;
  @Column('uuid') id: string;
  /** The awaited event; null: any. */
  @Column('text', { nullable: true }) name: string | null;
  @Column('timestamptz', { name: 'begun_at' }) begunAt: Date;
  @Column('timestamptz', { name: 'expires_at' }) expiresAt: Date;
  @Column('timestamptz', { name: 'arrived_at', nullable: true }) arrivedAt: Date | null;
}

/** What came from a portal, and when (`EventArrivals`). */
@Entity({ schema: SCHEMA, name: 'event_arrivals' })
export class EventArrivalsEntity {
  @PrimaryColumn('text', { name: 'member_id' }) memberId: string;
  /** Whatever it posted last, tests and signals included. */
  @Column('timestamptz', { name: 'heard_at', nullable: true }) heardAt: Date | null;
  /** The last online event that consumers can subscribe to. */
  @Column('timestamptz', { name: 'event_at', nullable: true }) eventAt: Date | null;
  /** Ascending, at most those of a week. */
  @Column('int', { name: 'busy_slots', array: true }) busySlots: number[];
  /** When the last record of its offline queue was read. */
  @Column('timestamptz', { name: 'record_at', nullable: true }) recordAt: Date | null;
  @Column('int', { name: 'only_offline' }) onlyOffline: number;
  /** Since when polls of its offline queue find fresh records that did not come online. */
  @Column('timestamptz', { name: 'missing_since', nullable: true }) missingSince: Date | null;
  @Column('int', { name: 'missing_visits' }) missingVisits: number;
}

/** `test`: ONAPPTEST does not arrive. `offline-only`: the offline queue keeps having what should have come online. */
export type UnreachableReason = 'test' | 'offline-only';

/** Whether what a portal posts reaches us (`Reachability`). */
@Entity({ schema: SCHEMA, name: 'reachability' })
export class ReachabilityEntity {
  @PrimaryColumn('text', { name: 'member_id' }) memberId: string;
  @Column('timestamptz', { name: 'watched_since' }) watchedSince: Date;
  @Column('timestamptz', { name: 'next_check_at' }) nextCheckAt: Date;
  /** In a row. */
  @Column('int', { name: 'failed_tests' }) failedTests: number;
  /** The last test that arrived. */
  @Column('timestamptz', { name: 'tested_at', nullable: true }) testedAt: Date | null;
  /** The last one that did not. */
  @Column('timestamptz', { name: 'missed_at', nullable: true }) missedAt: Date | null;
  @Column('timestamptz', { name: 'unreachable_since', nullable: true }) unreachableSince: Date | null;
  @Column('text', { nullable: true }) reason: UnreachableReason | null;
  @Column('float8', { array: true }) rates: number[];
  /** Hours since 1970: the first that `rates` knows, and the first that it does not know yet. */
  @Column('int', { name: 'rates_from', nullable: true }) ratesFrom: number | null;
  @Column('int', { name: 'rates_until', nullable: true }) ratesUntil: number | null;
}

/** A time whose events no consumer got, and no queue has (`EventGaps`). */
@Entity({ schema: SCHEMA, name: 'event_gaps' })
export class EventGapEntity {
  @PrimaryColumn('bigint', { generated: 'identity', generatedIdentity: 'ALWAYS' }) id: string;
  @Column('text', { name: 'member_id' }) memberId: string;
  @Column('text') reason: string;
  @Column('timestamptz', { name: 'began_at' }) beganAt: Date;
  /** Null while it lasts; in the future while it is not known what may be missed yet. */
  @Column('timestamptz', { name: 'ended_at', nullable: true }) endedAt: Date | null;
}

/** How much a consumer put right at a portal on one day (`CorrectionCounts`). */
@Entity({ schema: SCHEMA, name: 'correction_counts' })
export class CorrectionCountEntity {
  @PrimaryColumn('text', { name: 'member_id' }) memberId: string;
  @PrimaryColumn('text') consumer: string;
  /** In UTC. */
  @PrimaryColumn('date') day: string;
  @Column('int') count: number;
}

export const PORTAL_ENTITIES = [
  PortalEntity,
  CredentialsEntity,
  ApplicationTokenEntity,
  PendingInstallEntity,
  TokenRequestBudgetEntity,
  ClaimTokenRequestEntity,
  SubscriptionEntity,
  SubscriptionOverrideEntity,
  EventBindingEntity,
  BindingAttemptEntity,
  OfflineBindingEntity,
  OfflineAccessEntity,
  HandlerAddressEntity,
  DriftCheckEntity,
  WebhookPairEntity,
  RateBucketEntity,
  OperatingTimeEntity,
  JobEntity,
  SettingSchemaEntity,
  EventTestEntity,
  EventArrivalsEntity,
  CorrectionCountEntity,
  ReachabilityEntity,
  EventGapEntity,
];
