import { z } from 'zod';
import { consumerName, memberId } from './json.js';

export const portalState = z.enum([
  'installed',
  'needs-reauth',
  'needs-webhook',
  'suspended',
  'uninstalled',
  // An operator has resumed it, and it has not responded since.
  'resuming',
  // What it posts does not reach us.
  'unreachable',
]);

/**
 * How events reach us: `online`, the portal posts them; `offline`, they are read from its offline queue; `both`.
 */
export const deliveryMode = z.enum(['online', 'offline', 'both']);
export type DeliveryMode = z.output<typeof deliveryMode>;

/** State of a portal's event bindings. */
const bindingReport = z.object({
  /** Number of bound events. */
  bound: z.number(),
  /** Error code of the last attempt, if it failed. */
  error: z.string().nullable(),
  nextAttemptAt: z.string().nullable(),
  /** Wanted events only. */
  notOffered: z.array(
    z.object({
      event: z.string(),
      state: z.enum(['unknown-event', 'out-of-scope']),
      /** The missing permission, if the portal named it. */
      permission: z.string().nullable(),
    }),
  ),
});
export type BindingReport = z.output<typeof bindingReport>;

const listedPortal = z.object({
  memberId: z.string(),
  domain: z.string(),
  state: portalState,
  /** Kind of its credentials; null after an uninstall. */
  kind: z.enum(['oauth', 'webhook']).nullable(),
  /** Bitrix24's error code; null unless it is `suspended`. */
  suspendedReason: z.string().nullable(),
  /** Time of the next probe; null unless it is `suspended`. */
  suspendedUntil: z.string().nullable(),
  language: z.string().nullable(),
  settings: z.record(z.string(), z.unknown()),
  installedAt: z.string(),
  /** Null if no bindings were requested yet, or none are possible. `note`: what is not bound, and who must act. */
  bindings: bindingReport.extend({ note: z.string().nullable() }).nullable(),
  /**
   * Numbers of handlers in which it differed at its last comparison, before they were put right; `foreign` ones are not ours.
   * Null before the first; absent from control planes that do not compare.
   */
  drift: z
    .object({ missing: z.number(), surplus: z.number(), foreign: z.number(), checkedAt: z.string() })
    .nullable()
    .optional(),
  /** What came from it; null if nothing was noted yet, absent from control planes that do not note it. */
  arrivals: z
    .object({
      /** The last event that it posted. */
      lastEventAt: z.string().nullable(),
      /** When the last record of its offline queue was read. */
      lastRecordAt: z.string().nullable(),
      /** Records since its last online event that came by the offline queue alone. */
      onlyOffline: z.number(),
      /** The last test event that arrived, of those that were asked for because of its silence. */
      testedAt: z.string().nullable(),
      unreachableSince: z.string().nullable(),
      /**
       * `test`: it was silent for unusually long, and its test events do not arrive. `offline-only`: its offline queue keeps
       * having what should have come online. Null unless it is unreachable.
       */
      reason: z.enum(['test', 'offline-only']).nullable(),
    })
    .nullable()
    .optional(),
  /** Absent from control planes before there was a choice. `note`: why its offline queue is not read, and who must act. */
  delivery: z.object({ mode: deliveryMode, bound: z.number(), note: z.string().nullable() }).optional(),
});
export type ListedPortal = z.output<typeof listedPortal>;

/** `GET /ops/api/portals` */
export const portalsResponse = z.object({
  portals: z.array(listedPortal),
  /** Pairs of webhooks that no event has claimed. */
  webhookPairs: z.array(
    z.object({
      host: z.string(),
      /** The portal, if the operator named it. */
      memberId: z.string().nullable(),
      addedAt: z.string(),
    }),
  ),
  /** `total` counts all claims; the oldest portals are listed. */
  pendingInstalls: z.object({
    total: z.number(),
    portals: z.array(
      z.object({
        memberId: z.string(),
        claims: z.number(),
        tries: z.number(),
        keptAt: z.string(),
        nextTryAt: z.string(),
      }),
    ),
  }),
});
export type PortalsResponse = z.output<typeof portalsResponse>;

export const portalPath = z.object({ memberId });

const MAX_SEARCH = 200;
const PAGE_RANGE = 'must be a whole number from 1 to 200';

/** `GET /ops/api/portals/search`, by domain. Without pages of their own, thousands of portals would make a browser slow. */
export const portalSearchQuery = z.strictObject({
  /** Part of the domain or the member_id. */
  text: z.string().max(MAX_SEARCH).optional(),
  /** `attention`: something is to be done about it, or its events may not come. */
  state: z.union([portalState, z.literal('attention')]).optional(),
  limit: z.coerce
    .number({ error: PAGE_RANGE })
    .int({ error: PAGE_RANGE })
    .min(1, { error: PAGE_RANGE })
    .max(200, { error: PAGE_RANGE })
    .default(50),
  offset: z.coerce.number().int().min(0).max(10_000_000).default(0),
});
export type PortalFilter = NonNullable<z.output<typeof portalSearchQuery>['state']>;
export const portalSearchResponse = z.object({
  portals: z.array(listedPortal),
  matching: z.number(),
  /** Of all portals, whatever was searched for. */
  counts: z.record(z.union([portalState, z.literal('attention'), z.literal('total')]), z.number()),
});
export type PortalSearchResponse = z.output<typeof portalSearchResponse>;

/** `GET /ops/api/portals/:memberId` */
export const portalResponse = z.object({
  portal: listedPortal,
  limit: z.union([z.literal('free'), z.object({ rate: z.number(), burst: z.number() })]),
  /** What each consumer lets an operator set, as JSON Schema. */
  settingSchemas: z.array(z.object({ consumer: z.string(), schema: z.record(z.string(), z.unknown()) })),
});
export type PortalResponse = z.output<typeof portalResponse>;

/** local-integrations/local-webhooks.md; Bitrix24 also shows it with a method appended, which is not part of it. */
const WEBHOOK_PATH = /\/rest\/\d+\/[^/]+\/?$/;

/** `POST /ops/api/portals/webhook` */
export const webhookPairRequest = z.strictObject({
  webhookUrl: z
    .string()
    .min(1)
    // The API reports what is no valid address.
    .refine((url) => !URL.canParse(url) || WEBHOOK_PATH.test(new URL(url).pathname), {
      error: 'must be https://<portal>/rest/<user>/<secret>/, without a method',
    }),
  applicationToken: z.string().min(1).max(255),
  /** Then no other portal can claim the pair. */
  memberId: memberId.optional(),
});
export type WebhookPairRequest = z.output<typeof webhookPairRequest>;
export const webhookPairResponse = z.object({
  host: z.string(),
  /** Those that its outgoing webhook must have: nobody can bind them for it. */
  events: z.array(z.string()),
  waitsFor: z.string(),
});

/** `PUT /ops/api/portals/:memberId/settings/:consumer` */
export const settingsPath = portalPath.extend({ consumer: consumerName });
export const settingsRequest = z.record(z.string(), z.json());

const RATE_RANGE = 'must be a number from 0.01 to 10000 requests a second';
const BURST_RANGE = 'must be a number from 1 to 1000000 requests';

/** `PUT /ops/api/portals/:memberId/limit` */
export const limitRequest = z.strictObject({
  limit: z.union([
    z.enum(['usual', 'enterprise', 'free']),
    // Beyond these the arithmetic of the bucket overflows, or a portal waits for days: typing errors.
    z.strictObject({
      rate: z
        .number({ error: RATE_RANGE })
        .min(0.01, { error: RATE_RANGE })
        .max(10_000, { error: RATE_RANGE }),
      burst: z
        .number({ error: BURST_RANGE })
        .min(1, { error: BURST_RANGE })
        .max(1_000_000, { error: BURST_RANGE }),
    }),
  ]),
});
export type GivenLimit = z.input<typeof limitRequest>['limit'];
export const limitResponse = z.object({
  limit: z.union([z.literal('free'), z.object({ rate: z.number(), burst: z.number() })]),
});

/** `PUT /ops/api/portals/:memberId/mode` */
export const modeRequest = z.strictObject({ mode: deliveryMode });
export const modeResponse = z.object({
  mode: deliveryMode,
  /** Whether a consumer reads offline queues; without one nothing is bound offline. */
  isRead: z.boolean(),
});
export type ModeResponse = z.output<typeof modeResponse>;

const eventNames = z.array(z.string());
const handlers = z.array(z.object({ event: z.string(), handler: z.string() }));

/** `GET /ops/api/portals/:memberId/subscriptions`: the handlers at the portal now, beside the wanted ones. */
export const subscriptionsDiffResponse = z.object({
  missing: z.object({ online: eventNames, offline: eventNames }),
  /** Ours, and not wanted; the first 200 of each kind. */
  surplus: z.object({ online: handlers, offline: eventNames }),
  /** Number of handlers of the application that are not ours; never touched. */
  foreign: z.number(),
  /** Number of entries that are not as documented. */
  unreadable: z.number(),
});
export type SubscriptionsDiff = z.output<typeof subscriptionsDiffResponse>;

const MAX_TYPE_ID = 2 ** 31 - 1;

/** `GET /ops/api/portals/:memberId/user-fields/:entityTypeId`: the user fields of an object type at the portal now. */
export const userFieldsPath = portalPath.extend({
  entityTypeId: z.coerce.number().int().min(1).max(MAX_TYPE_ID),
});
export const userFieldsResponse = z.object({
  fields: z.array(
    z.object({
      name: z.string(),
      type: z.string(),
      /** The portal's words. */
      title: z.string(),
      isMultiple: z.boolean(),
      options: z.array(z.object({ id: z.number(), text: z.string() })),
    }),
  ),
  /** Number of user fields and options that are not as documented, or too many. */
  unreadable: z.number(),
});
export type UserFieldsResponse = z.output<typeof userFieldsResponse>;

/** `POST /ops/api/portals/:memberId/subscriptions`: what was done. */
export const subscriptionsApplyResponse = z.object({
  bound: eventNames,
  unbound: handlers,
  boundOffline: eventNames,
  unboundOffline: eventNames,
  foreign: z.number(),
  unreadable: z.number(),
});
export type SubscriptionsApplied = z.output<typeof subscriptionsApplyResponse>;

/** `POST /ops/api/portals/:memberId/resume` */
export const resumeResponse = z.object({ resumed: z.boolean() });
export type ResumeResponse = z.output<typeof resumeResponse>;

/** `POST /ops/api/portals/:memberId/remove` */
export const removeRequest = z.strictObject({
  /** Its settings are deleted, too. */
  clean: z.boolean().default(false),
});
export const removeResponse = z.object({
  /** Events unbound at the portal; null if the portal could not be asked. */
  unbound: z.number().nullable(),
});

/** `POST /ops/api/portals/:memberId/test` */
export const testResponse = z.object({
  heard: z.boolean(),
  heardAfterMs: z.number().optional(),
  /** The portal has no application: a person has to cause the event. */
  byHand: z.boolean(),
});
export type TestResponse = z.output<typeof testResponse>;

/** `POST /ops/api/keys/rotate` */
export const keyRotationResponse = z.object({
  /** Rows that are encrypted with the first key now and were not before. */
  rewritten: z.number(),
  /** Rows that were encrypted with it already. */
  alreadyCurrent: z.number(),
  /** Rows that no key of TOKEN_KEYS decrypts; left as they are. */
  unreadable: z.number(),
  /** The first key of TOKEN_KEYS. */
  currentKeyId: z.string(),
  /** Encrypted values by the id of their key: a key that is not here can be removed from TOKEN_KEYS. */
  keysInUse: z.record(z.string(), z.number()),
});
