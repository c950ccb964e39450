import { Bitrix24Error } from '@relay/bitrix24';
import type { EventTests } from '@relay/installs';
import type { Log } from '@relay/platform';
import type {
  BindingReport,
  EventBindings,
  ListedPortal,
  PendingInstalls,
  PortalClients,
  PortalLimits,
  PortalQuery,
  PortalSettings,
  Suspensions,
  WebhookPairs,
} from '@relay/portals';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { bindingNote } from './binding-note.js';
import type { WebhookRegistration } from './webhook-registration.js';

export interface PortalRouteParts {
  portals: PortalQuery;
  bindings: EventBindings;
  webhooks: WebhookRegistration;
  webhookPairs: WebhookPairs;
  pending: PendingInstalls;
  settings: PortalSettings;
  limits: PortalLimits;
  suspensions: Suspensions;
  clients: PortalClients;
  log: Log;
  tests: EventTests;
}

/** A portal, and the state of its bindings; null if none were requested yet, or none are possible. */
export interface PortalWithBindings extends ListedPortal {
  bindings: (BindingReport & { note: string | null }) | null;
}

/** local-integrations/local-webhooks.md; Bitrix24 also shows it with a method appended, which is not part of it. */
const WEBHOOK_PATH = /\/rest\/\d+\/[^/]+\/?$/;
const webhookUrl = z
  .string()
  .min(1)
  // The caller reports what is no valid address.
  .refine((url) => !URL.canParse(url) || WEBHOOK_PATH.test(new URL(url).pathname), {
    error: 'must be https://<portal>/rest/<user>/<secret>/, without a method',
  });
const memberIdText = z.string().regex(/^[\w-]{1,64}$/, 'is no member_id');
const webhookPair = z.strictObject({
  webhookUrl,
  applicationToken: z.string().min(1).max(255),
  /** Then no other portal can claim the pair. */
  memberId: memberIdText.optional(),
});
const portalPath = z.object({ memberId: memberIdText });
const settingsPath = portalPath.extend({
  consumer: z.string().regex(/^[a-z][a-z0-9-]{0,39}$/, 'is no name of a consumer'),
});
const settingsBody = z.record(z.string(), z.json());
const limitBody = z.strictObject({
  limit: z.union([
    z.enum(['usual', 'enterprise', 'free']),
    // Beyond these the arithmetic of the bucket overflows, or a portal waits for days: typing errors.
    z.strictObject({
      rate: z.number().positive().min(0.01).max(10_000),
      burst: z.number().positive().min(1).max(1_000_000),
    }),
  ]),
});

/** Limited, because anybody can create pending installs. */
const MAX_PENDING_SHOWN = 50;

/** Operator routes for portals. */
export function addPortalRoutes(api: FastifyInstance, parts: PortalRouteParts): void {
  const { portals, bindings, webhooks, webhookPairs, pending, settings, limits, suspensions } = parts;
  const { clients, tests, log } = parts;

  api.get('/ops/api/portals', async () => {
    const [all, pairs, waiting] = await Promise.all([
      listed(),
      webhookPairs.waiting(),
      pending.waiting(MAX_PENDING_SHOWN),
    ]);
    return { portals: all, webhookPairs: pairs, pendingInstalls: waiting };
  });
  api.post('/ops/api/portals/webhook', async (request, reply) => {
    const registered = await webhooks.register(webhookPair.parse(request.body));
    return reply.code(201).send({ ...registered, waitsFor: 'the first event of its outgoing webhook' });
  });
  api.put('/ops/api/portals/:memberId/settings/:consumer', async (request, reply) => {
    const { memberId, consumer } = settingsPath.parse(request.params);
    await settings.set(memberId, consumer, settingsBody.parse(request.body));
    return reply.code(204).send();
  });
  api.put('/ops/api/portals/:memberId/limit', async (request) => {
    const { memberId } = portalPath.parse(request.params);
    await limits.setLimit(memberId, limitBody.parse(request.body).limit);
    return { limit: await limits.limitOf(memberId) };
  });
  api.post('/ops/api/portals/:memberId/resume', async (request) => {
    const { memberId } = portalPath.parse(request.params);
    const resumed = await suspensions.resume(memberId);
    if (resumed) probe(memberId);
    else await requireKnown(memberId);
    return { resumed };
  });
  api.post('/ops/api/portals/:memberId/test', async (request) => {
    const { memberId } = portalPath.parse(request.params);
    const portal = (await portals.all()).find((one) => one.memberId === memberId);
    // Without an application there is no `event.test`: a person has to change something there.
    const byHand = portal?.kind === 'webhook';
    const heardAfterMs = byHand ? await tests.waitForAny(memberId) : await tests.probe(memberId);
    return { heard: heardAfterMs !== undefined, heardAfterMs, byHand };
  });

  async function listed(): Promise<PortalWithBindings[]> {
    const [all, reports] = await Promise.all([portals.all(), bindings.reports()]);
    return all.map((portal) => {
      const report = portal.kind === 'oauth' ? reports.get(portal.memberId) : undefined;
      return { ...portal, bindings: report ? { ...report, note: bindingNote(report) ?? null } : null };
    });
  }

  /** The response, which nobody waits for, shows whether the portal accepts calls again, also without other requests. */
  function probe(memberId: string): void {
    // Needs no permission (api-reference/common/users/profile.md).
    const asked = clients.for(memberId).call('profile', {}, { repeatable: true });
    asked.catch((err: unknown) =>
      log.info({ err, memberId }, 'a portal that was resumed refuses, or does not answer'),
    );
  }

  async function requireKnown(memberId: string): Promise<void> {
    const known = (await portals.all()).some((portal) => portal.memberId === memberId);
    if (!known) throw new Bitrix24Error('NOT_INSTALLED', { memberId });
  }
}
