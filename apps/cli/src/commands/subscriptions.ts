import {
  plural,
  subscriptionsApplyResponse,
  subscriptionsDiffResponse,
  type ListedPortal,
  type SubscriptionsApplied,
  type SubscriptionsDiff,
} from '@relay/admin-contract';
import { StartupError } from '@relay/platform';
import type { AdminClient } from '../client/admin-client.js';
import type { Report } from '../program/command.js';
import { findPortal, readPortals } from '../client/find-portal.js';
import { ProgressLine } from '../terminal/terminal.js';

/** Portals that are asked side by side; each has a rate limit of its own. */
const CONCURRENCY = 8;

type Outcome<T> = { memberId: string; domain: string } & (T | { error: string });

/**
 * Handlers at the portals now, beside the wanted ones; changes nothing. Exit code 1 if there is a difference.
 * @param name one portal; undefined: all that have the application
 * @throws StartupError if the one portal cannot be asked
 */
export async function diffSubscriptions(api: AdminClient, name?: string): Promise<Report> {
  const outcomes = await eachPortal(api, name, async (memberId) =>
    subscriptionsDiffResponse.parse(await api.send('GET', pathOf(memberId))),
  );
  const hasFailed = outcomes.some((one) => 'error' in one || isDifferent(one));
  return {
    value: outcomes,
    text: textOf(outcomes, diffLines) || 'No portal has the application.',
    exitCode: hasFailed ? 1 : 0,
  };
}

/** Binds what is missing and unbinds what is ours and surplus, now. Exit code 1 if a portal could not be put right. */
export async function applySubscriptions(api: AdminClient, name?: string): Promise<Report> {
  const outcomes = await eachPortal(api, name, async (memberId) =>
    subscriptionsApplyResponse.parse(await api.send('POST', pathOf(memberId))),
  );
  return {
    value: outcomes,
    text: textOf(outcomes, appliedLines) || 'No portal has the application.',
    exitCode: outcomes.some((one) => 'error' in one) ? 1 : 0,
  };
}

async function eachPortal<T extends object>(
  api: AdminClient,
  name: string | undefined,
  ask: (memberId: string) => Promise<T>,
): Promise<Outcome<T>[]> {
  if (name !== undefined) {
    const { memberId, domain } = await findPortal(api, name);
    return [{ memberId, domain, ...(await ask(memberId)) }];
  }
  const asked = (await readPortals(api)).filter(
    ({ kind, state }) => kind === 'oauth' && state !== 'uninstalled',
  );
  const waiting = asked.values();
  const outcomes: Outcome<T>[] = [];
  const line = new ProgressLine(process.stderr);
  const work = async (): Promise<void> => {
    for (const portal of waiting) {
      outcomes.push(await outcomeAt(portal, ask));
      line.show(`${outcomes.length} of ${plural(asked.length, 'portal')}`, outcomes.length / asked.length);
    }
  };
  try {
    await Promise.all(Array.from({ length: CONCURRENCY }, work));
  } finally {
    line.end();
  }
  return outcomes.toSorted((a, b) => a.memberId.localeCompare(b.memberId));
}

/** One portal that does not answer says nothing about the others. */
async function outcomeAt<T extends object>(
  { memberId, domain }: ListedPortal,
  ask: (memberId: string) => Promise<T>,
): Promise<Outcome<T>> {
  try {
    return { memberId, domain, ...(await ask(memberId)) };
  } catch (error) {
    if (!(error instanceof StartupError)) throw error;
    return { memberId, domain, error: error.message };
  }
}

function textOf<T extends object>(outcomes: Outcome<T>[], linesOf: (one: T) => string[]): string {
  return outcomes
    .map((one) => {
      const lines = 'error' in one ? [one.error] : linesOf(one);
      return [`${one.memberId}  ${one.domain}`, ...lines.map((line) => `  ${line}`)].join('\n');
    })
    .join('\n');
}

function isDifferent({ missing, surplus }: SubscriptionsDiff): boolean {
  return [missing.online, missing.offline, surplus.online, surplus.offline].some(({ length }) => length > 0);
}

function diffLines(diff: SubscriptionsDiff): string[] {
  const { missing, surplus } = diff;
  return [
    ...missing.online.map((event) => `missing  ${event}`),
    ...missing.offline.map((event) => `missing  ${event}  offline`),
    ...surplus.online.map(({ event, handler }) => `surplus  ${event}  ${handler}`),
    ...surplus.offline.map((event) => `surplus  ${event}  offline`),
    ...(isDifferent(diff) ? [] : ['as wanted']),
    ...leftAlone(diff),
  ];
}

function appliedLines(applied: SubscriptionsApplied): string[] {
  const lines = [
    ...applied.bound.map((event) => `bound    ${event}`),
    ...applied.boundOffline.map((event) => `bound    ${event}  offline`),
    ...applied.unbound.map(({ event, handler }) => `unbound  ${event}  ${handler}`),
    ...applied.unboundOffline.map((event) => `unbound  ${event}  offline`),
  ];
  return [...(lines.length > 0 ? lines : ['nothing to do']), ...leftAlone(applied)];
}

function leftAlone({ foreign, unreadable }: { foreign: number; unreadable: number }): string[] {
  return [
    ...(foreign > 0 ? [`${plural(foreign, 'handler')} at other addresses, not ours: left alone`] : []),
    ...(unreadable > 0 ? [`${plural(unreadable, 'handler')} that cannot be read: left alone`] : []),
  ];
}

function pathOf(memberId: string): string {
  return `/portals/${encodeURIComponent(memberId)}/subscriptions`;
}
