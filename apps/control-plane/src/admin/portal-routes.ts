import {
  limitRequest,
  modeRequest,
  portalPath,
  portalSearchQuery,
  removeRequest,
  settingsPath,
  settingsRequest,
  webhookPairRequest,
  type limitResponse,
  type modeResponse,
  type portalResponse,
  type portalSearchResponse,
  type portalsResponse,
  type removeResponse,
  type resumeResponse,
  type Sent,
  subscriptionsApplyResponse,
  type subscriptionsDiffResponse,
  type testResponse,
  userFieldsPath,
  type userFieldsResponse,
  type webhookPairResponse,
} from '@relay/admin-contract';
import { BadGatewayException, ConflictException, GatewayTimeoutException } from '@nestjs/common';
import {
  Bitrix24Error,
  listHandlers,
  MAX_BATCH_COMMANDS,
  readUserFields,
  unbindCommand,
} from '@relay/bitrix24';
import { BIND_JOB, CONTROL_PLANE } from '@relay/installs';
import type { PortalJob, PortalJobs } from '@relay/jobs';
import {
  OFFLINE_PULLER,
  type BindingReport,
  type DeliveryReport,
  type DriftChecks,
  type EventBindings,
  type EventDeliveryProbe,
  type OfflineBindings,
  type PendingInstalls,
  type PortalClients,
  type PortalLimits,
  type PortalQuery,
  type PortalRepository,
  type PortalSettings,
  type Reachability,
  type Subscriptions,
  type PortalCircuitBreaker,
  type WebhookPairs,
} from '@relay/portals';
import type { Log } from '@relay/platform';
import type { FastifyInstance } from 'fastify';
import { setTimeout as delay } from 'node:timers/promises';
import { COMPARE_JOB, COMPARISONS } from '../subscriptions/event-binding-reconciler.js';
import type { HandlerComparison } from '../subscriptions/handler-comparison.js';
import type { WebhookRegistration } from './webhook-registration.js';

export interface PortalRouteParts {
  portals: PortalQuery;
  repository: PortalRepository;
  /** Where this installation's events are bound to. */
  handlerUrl: string;
  bindings: EventBindings;
  offline: OfflineBindings;
  checks: DriftChecks;
  reachability: Reachability;
  comparison: HandlerComparison;
  subscriptions: Subscriptions;
  jobs: PortalJobs;
  webhooks: WebhookRegistration;
  webhookPairs: WebhookPairs;
  pending: PendingInstalls;
  settings: PortalSettings;
  limits: PortalLimits;
  circuitBreaker: PortalCircuitBreaker;
  clients: PortalClients;
  log: Log;
  tests: EventDeliveryProbe;
}

const MAX_NAMED = 5;
/** A removal does not wait longer for a portal that may be gone. */
const UNBIND_TIMEOUT_MS = 10_000;

const ERROR_SENTENCES = new Map([
  ['ERROR_WRONG_HANDLER_URL', 'the portal takes no handler at the host of PUBLIC_URL, which must have a dot'],
  ['ERROR_UNSUPPORTED_PROTOCOL', 'the portal takes no handler with the protocol of PUBLIC_URL'],
  ['INTERRUPTED', 'the control plane ended while it asked the portal'],
  ['FAILED', 'see the log of the control plane'],
  ['TIMEOUT', 'the portal does not answer (TIMEOUT)'],
  ['TRANSPORT', 'the portal cannot be reached (TRANSPORT)'],
]);

/** An operator waits for the portal no longer. */
const DIFF_TIMEOUT_MS = 30_000;
const APPLY_TIMEOUT_MS = 60_000;
const APPLY_POLL_MS = 200;
const MAX_ERROR_LENGTH = 300;

/** Limited, because anybody can create pending installs. */
const MAX_PENDING_SHOWN = 50;

/** Operator routes for portals. */
export function addPortalRoutes(api: FastifyInstance, parts: PortalRouteParts): void {
  const { portals, bindings, webhooks, webhookPairs, pending, settings, limits, circuitBreaker } = parts;
  const { clients, tests, log, offline, checks, comparison, subscriptions, jobs, repository, handlerUrl } =
    parts;
  const { reachability } = parts;

  api.get('/ops/api/portals', async (): Promise<Sent<typeof portalsResponse>> => {
    const [all, pairs, waiting] = await Promise.all([
      listed(),
      webhookPairs.waiting(),
      pending.waiting(MAX_PENDING_SHOWN),
    ]);
    return { portals: all, webhookPairs: pairs, pendingInstalls: waiting };
  });
  api.get('/ops/api/portals/search', async (request): Promise<Sent<typeof portalSearchResponse>> => {
    const { text = '', state, limit, offset } = portalSearchQuery.parse(request.query);
    const all = await listed();
    const wanted = text.trim().toLowerCase();
    const found = all.filter(
      (portal) =>
        (state === undefined || (state === 'attention' ? needsAttention(portal) : portal.state === state)) &&
        [portal.domain, portal.memberId].some((each) => each.toLowerCase().includes(wanted)),
    );
    return { portals: found.slice(offset, offset + limit), matching: found.length, counts: countsOf(all) };
  });
  api.get('/ops/api/portals/:memberId', async (request): Promise<Sent<typeof portalResponse>> => {
    const { memberId } = portalPath.parse(request.params);
    const [all, limit, settingSchemas] = await Promise.all([
      listed(),
      limits.limitOf(memberId),
      settings.schemas(),
    ]);
    const portal = all.find((one) => one.memberId === memberId);
    if (!portal) throw new Bitrix24Error('NOT_INSTALLED', { memberId });
    return { portal, limit, settingSchemas };
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
  api.put('/ops/api/portals/:memberId/mode', async (request): Promise<Sent<typeof modeResponse>> => {
    const { memberId } = portalPath.parse(request.params);
    const { mode } = modeRequest.parse(request.body);
    await offline.setMode(memberId, mode);
    await jobs.request(CONTROL_PLANE, memberId, BIND_JOB, 'interactive');
    return { mode, isRead: await isQueueRead() };
  });
  api.post('/ops/api/portals/:memberId/resume', async (request): Promise<Sent<typeof resumeResponse>> => {
    const { memberId } = portalPath.parse(request.params);
    const resumed = await circuitBreaker.resume(memberId);
    if (resumed) probe(memberId);
    else await requireKnown(memberId);
    return { resumed };
  });
  api.post('/ops/api/portals/:memberId/remove', async (request): Promise<Sent<typeof removeResponse>> => {
    const { memberId } = portalPath.parse(request.params);
    const { clean } = removeRequest.parse(request.body ?? {});
    await requireKnown(memberId);
    // Before its tokens are gone.
    const unbound = await unbindAll(memberId).catch((err: unknown) => {
      log.info({ err, memberId }, 'the events of a portal that is removed could not be unbound there');
      return null;
    });
    await repository.uninstall(memberId, { clean });
    log.info({ memberId, clean, unbound }, 'portal removed by an operator');
    return { unbound };
  });
  api.post('/ops/api/portals/:memberId/test', async (request): Promise<Sent<typeof testResponse>> => {
    const { memberId } = portalPath.parse(request.params);
    const portal = (await portals.all()).find((one) => one.memberId === memberId);
    // Without an application there is no `event.test`: a person has to change something there.
    const byHand = portal?.kind === 'webhook';
    const heardAfterMs = byHand ? await tests.waitForAny(memberId) : await tests.probe(memberId);
    return { heard: heardAfterMs !== undefined, heardAfterMs, byHand };
  });

  api.get(
    '/ops/api/portals/:memberId/user-fields/:entityTypeId',
    async (request): Promise<Sent<typeof userFieldsResponse>> => {
      const { memberId, entityTypeId } = userFieldsPath.parse(request.params);
      const signal = AbortSignal.timeout(DIFF_TIMEOUT_MS);
      return readUserFields(clients.for(memberId), entityTypeId, signal).catch((error: unknown) => {
        throw signal.aborted ? new GatewayTimeoutException('The portal does not answer') : error;
      });
    },
  );
  const subscriptionsPath = '/ops/api/portals/:memberId/subscriptions';
  api.get(subscriptionsPath, async (request): Promise<Sent<typeof subscriptionsDiffResponse>> => {
    const { memberId } = portalPath.parse(request.params);
    await requireApplication(memberId);
    const signal = AbortSignal.timeout(DIFF_TIMEOUT_MS);
    const { diff } = await comparison.compare(memberId, { signal }).catch((error: unknown) => {
      throw signal.aborted ? new GatewayTimeoutException('The portal does not answer') : error;
    });
    const { surplus } = diff;
    return { ...diff, surplus: { ...surplus, offline: surplus.offline.map(({ event }) => event) } };
  });
  api.post(subscriptionsPath, async (request): Promise<Sent<typeof subscriptionsApplyResponse>> => {
    const { memberId } = portalPath.parse(request.params);
    await requireApplication(memberId);
    const job = await jobs.request(COMPARISONS, memberId, COMPARE_JOB, 'interactive');
    return subscriptionsApplyResponse.parse((await outcomeOf(job)).progress);
  });

  /** @throws HttpException if it failed, is to be tried again, or has not ended in time */
  async function outcomeOf(requested: PortalJob): Promise<PortalJob> {
    const deadline = performance.now() + APPLY_TIMEOUT_MS;
    for (;;) {
      const job = await jobs.find(requested.id);
      if (job?.state === 'done') return job;
      // A failure of before the request has the same time.
      const isNew = job?.endedAt?.getTime() !== requested.endedAt?.getTime();
      if (
        job?.state === 'failed' ||
        (job?.state === 'waiting' && job.error !== null && job.endedAt && isNew)
      ) {
        throw new BadGatewayException(`It did not work: ${job.error?.slice(0, MAX_ERROR_LENGTH)}`);
      }
      if (performance.now() > deadline) {
        throw new GatewayTimeoutException(
          'The portal has not answered in time; what was begun goes on, and relay subscriptions diff shows what came of it',
        );
      }
      await delay(APPLY_POLL_MS);
    }
  }

  /** @throws Bitrix24Error NOT_INSTALLED; ConflictException for a portal where nobody but its people can bind anything */
  async function requireApplication(memberId: string): Promise<void> {
    const portal = (await portals.all()).find((one) => one.memberId === memberId);
    if (!portal || portal.state === 'uninstalled') throw new Bitrix24Error('NOT_INSTALLED', { memberId });
    if (portal.kind !== 'oauth') {
      throw new ConflictException(
        'This portal has no application: its people make its outgoing webhook, and nobody can compare it',
      );
    }
  }

  async function listed() {
    const [all, reports, deliveries, drifts, arrivals, isRead] = await Promise.all([
      portals.all(),
      bindings.reports(),
      offline.reports(),
      checks.reports(),
      reachability.reports(),
      isQueueRead(),
    ]);
    return all.map((portal) => {
      const report = portal.kind === 'oauth' ? reports.get(portal.memberId) : undefined;
      const delivery = deliveries.get(portal.memberId);
      return {
        ...portal,
        bindings: report ? { ...report, note: bindingNote(report) ?? null } : null,
        drift: drifts.get(portal.memberId) ?? null,
        arrivals: arrivals.get(portal.memberId) ?? null,
        ...(delivery && { delivery: deliveryOf(delivery, isRead) }),
      };
    });
  }

  async function isQueueRead(): Promise<boolean> {
    return (await subscriptions.active()).some(({ consumer }) => consumer === OFFLINE_PULLER);
  }

  /** The response, which nobody waits for, shows whether the portal accepts calls again, also without other requests. */
  function probe(memberId: string): void {
    // Needs no permission (api-reference/common/users/profile.md).
    const asked = clients.for(memberId).call('profile', {}, { repeatable: true });
    asked.catch((err: unknown) => log.info({ err, memberId }, 'the first call of a resumed portal failed'));
  }

  /** @returns the number of handlers. @throws Bitrix24Error, also for a portal without an application */
  async function unbindAll(memberId: string): Promise<number> {
    const signal = AbortSignal.timeout(UNBIND_TIMEOUT_MS);
    const client = clients.for(memberId);
    const own = (await listHandlers(client, signal)).filter(({ handler }) => handler === handlerUrl);
    for (let from = 0; from < own.length; from += MAX_BATCH_COMMANDS) {
      const commands = own
        .slice(from, from + MAX_BATCH_COMMANDS)
        .map((handler) => [handler.event, unbindCommand(handler)] as const);
      const outcomes = await client.batch(Object.fromEntries(commands), { signal });
      for (const outcome of Object.values(outcomes)) if (!outcome.ok) throw outcome.error;
    }
    return own.length;
  }

  async function requireKnown(memberId: string): Promise<void> {
    const known = (await portals.all()).some((portal) => portal.memberId === memberId);
    if (!known) throw new Bitrix24Error('NOT_INSTALLED', { memberId });
  }
}

type AnyPortal = Sent<typeof portalsResponse>['portals'][number];

/** A person has to do something, or its events may not come. */
function needsAttention({ state, bindings, delivery, drift }: AnyPortal): boolean {
  if (state === 'uninstalled') return false;
  const isUnread = Boolean(delivery?.note);
  const hasDrifted = drift ? drift.missing + drift.surplus > 0 : false;
  return NEEDS_SOMEBODY.has(state) || Boolean(bindings?.note) || isUnread || hasDrifted;
}

const NEEDS_SOMEBODY: ReadonlySet<string> = new Set([
  'needs-reauth',
  'needs-webhook',
  'suspended',
  'unreachable',
]);

function countsOf(all: readonly AnyPortal[]): Sent<typeof portalSearchResponse>['counts'] {
  const counts = {
    total: all.length,
    attention: all.filter(needsAttention).length,
    installed: 0,
    'needs-reauth': 0,
    'needs-webhook': 0,
    suspended: 0,
    unreachable: 0,
    uninstalled: 0,
    resuming: 0,
  };
  for (const { state } of all) counts[state] += 1;
  return counts;
}

function deliveryOf(report: DeliveryReport, isRead: boolean) {
  const { mode, bound } = report;
  return { mode, bound, note: deliveryNote(report, isRead) ?? null };
}

/** Why the offline queue is not read although it should be, and who must act. */
function deliveryNote({ mode, bound, isAdministrator }: DeliveryReport, isRead: boolean): string | undefined {
  if (mode === 'online') return undefined;
  // Mode `both` is the default, and without a reader as `online`: nobody need act.
  if (!isRead)
    return mode === 'offline' ? `nothing is bound, since no ${OFFLINE_PULLER} runs: start it` : undefined;
  if (isAdministrator === false) {
    return 'its offline queue needs an administrator: one must open the application there';
  }
  return mode === 'offline' && bound === 0 ? 'nothing is bound yet' : undefined;
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
