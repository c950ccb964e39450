import {
  limitRequest,
  portalPath,
  settingsPath,
  settingsRequest,
  webhookPairRequest,
  type limitResponse,
  type portalsResponse,
  type resumeResponse,
  type Sent,
  type testResponse,
  type webhookPairResponse,
} from '@relay/admin-contract';
import { Bitrix24Error } from '@relay/bitrix24';
import type { EventTests } from '@relay/installs';
import type { Log } from '@relay/platform';
import type {
  BindingReport,
  EventBindings,
  PendingInstalls,
  PortalClients,
  PortalLimits,
  PortalQuery,
  PortalSettings,
  Suspensions,
  WebhookPairs,
} from '@relay/portals';
import type { FastifyInstance } from 'fastify';
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

const MAX_NAMED = 5;

const ERROR_SENTENCES = new Map([
  ['ERROR_WRONG_HANDLER_URL', 'the portal takes no handler at the host of PUBLIC_URL, which must have a dot'],
  ['ERROR_UNSUPPORTED_PROTOCOL', 'the portal takes no handler with the protocol of PUBLIC_URL'],
  ['INTERRUPTED', 'the control plane ended while it asked the portal'],
  ['FAILED', 'see the log of the control plane'],
  ['TIMEOUT', 'the portal does not answer (TIMEOUT)'],
  ['TRANSPORT', 'the portal cannot be reached (TRANSPORT)'],
]);

/** Limited, because anybody can create pending installs. */
const MAX_PENDING_SHOWN = 50;

/** Operator routes for portals. */
export function addPortalRoutes(api: FastifyInstance, parts: PortalRouteParts): void {
  const { portals, bindings, webhooks, webhookPairs, pending, settings, limits, suspensions } = parts;
  const { clients, tests, log } = parts;

  api.get('/ops/api/portals', async (): Promise<Sent<typeof portalsResponse>> => {
    const [all, pairs, waiting] = await Promise.all([
      listed(),
      webhookPairs.waiting(),
      pending.waiting(MAX_PENDING_SHOWN),
    ]);
    return { portals: all, webhookPairs: pairs, pendingInstalls: waiting };
  });
  api.post('/ops/api/portals/webhook', async (request, reply): Promise<Sent<typeof webhookPairResponse>> => {
    const registered = await webhooks.register(webhookPairRequest.parse(request.body));
    void reply.code(201);
    return { ...registered, waitsFor: 'the first event of its outgoing webhook' };
  });
  api.put('/ops/api/portals/:memberId/settings/:consumer', async (request, reply) => {
    const { memberId, consumer } = settingsPath.parse(request.params);
    await settings.set(memberId, consumer, settingsRequest.parse(request.body));
    return reply.code(204).send();
  });
  api.put('/ops/api/portals/:memberId/limit', async (request): Promise<Sent<typeof limitResponse>> => {
    const { memberId } = portalPath.parse(request.params);
    await limits.setLimit(memberId, limitRequest.parse(request.body).limit);
    return { limit: await limits.limitOf(memberId) };
  });
  api.post('/ops/api/portals/:memberId/resume', async (request): Promise<Sent<typeof resumeResponse>> => {
    const { memberId } = portalPath.parse(request.params);
    const resumed = await suspensions.resume(memberId);
    if (resumed) probe(memberId);
    else await requireKnown(memberId);
    return { resumed };
  });
  api.post('/ops/api/portals/:memberId/test', async (request): Promise<Sent<typeof testResponse>> => {
    const { memberId } = portalPath.parse(request.params);
    const portal = (await portals.all()).find((one) => one.memberId === memberId);
    // Without an application there is no `event.test`: a person has to change something there.
    const byHand = portal?.kind === 'webhook';
    const heardAfterMs = byHand ? await tests.waitForAny(memberId) : await tests.probe(memberId);
    return { heard: heardAfterMs !== undefined, heardAfterMs, byHand };
  });

  async function listed(): Promise<Sent<typeof portalsResponse>['portals']> {
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

/** Why events are not bound, and who must act; undefined if all wanted events are bound, or will be soon. */
function bindingNote({ bound, error, nextAttemptAt, notOffered }: BindingReport): string | undefined {
  const notes: string[] = [];
  if (error !== null) {
    const which = bound === 0 ? 'online events not bound' : 'some online events not bound';
    const next = nextAttemptAt ? `, next try ${nextAttemptAt.toISOString()}` : '';
    notes.push(`${which}: ${ERROR_SENTENCES.get(error) ?? `the portal answers ${error}`}${next}`);
  }
  const outOfScope = notOffered.filter(({ state }) => state === 'out-of-scope');
  for (const permission of new Set(outOfScope.map((each) => each.permission))) {
    const events = outOfScope.filter((each) => each.permission === permission).map(({ event }) => event);
    const which = permission === null ? 'a permission for them' : `the permission ${permission}`;
    notes.push(`${listOf(events)} not bound: give the application ${which}`);
  }
  const unknown = notOffered.filter(({ state }) => state === 'unknown-event').map(({ event }) => event);
  if (unknown.length > 0) notes.push(`${listOf(unknown)} not bound: the portal does not know it`);
  return notes.length > 0 ? notes.join('; ') : undefined;
}

function listOf(events: readonly string[]): string {
  const rest = events.length - MAX_NAMED;
  return rest > 0
    ? `${events.slice(0, MAX_NAMED).join(', ')} and ${rest} more`
    : events.slice(0, MAX_NAMED).join(', ');
}
