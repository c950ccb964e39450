import { z } from 'zod';
import { consumerName, memberId } from './json.js';

const portalState = z.enum([
  'installed',
  'needs-reauth',
  'needs-webhook',
  'suspended',
  'uninstalled',
  // An operator has resumed it, and it has not responded since.
  'resuming',
]);

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

/** `PUT /ops/api/portals/:memberId/limit` */
export const limitRequest = z.strictObject({
  limit: z.union([
    z.enum(['usual', 'enterprise', 'free']),
    // Beyond these the arithmetic of the bucket overflows, or a portal waits for days: typing errors.
    z.strictObject({
      rate: z.number().positive().min(0.01).max(10_000),
      burst: z.number().positive().min(1).max(1_000_000),
    }),
  ]),
});
export type GivenLimit = z.input<typeof limitRequest>['limit'];
export const limitResponse = z.object({
  limit: z.union([z.literal('free'), z.object({ rate: z.number(), burst: z.number() })]),
});

/** `POST /ops/api/portals/:memberId/resume` */
export const resumeResponse = z.object({ resumed: z.boolean() });

/** `POST /ops/api/portals/:memberId/test` */
export const testResponse = z.object({
  heard: z.boolean(),
  heardAfterMs: z.number().optional(),
  /** The portal has no application: a person has to cause the event. */
  byHand: z.boolean(),
});
