import type { ConsumerStatus, Retirement } from '@relay/bus';

type Refused = Extract<Retirement, { outcome: 'refused' }>;

/** The remaining messages or processes, and what to do about them. */
export function formatRetireRejection({ because, status, unsubscribed }: Refused): string {
  const { consumer } = status;
  const already = unsubscribed ? ' It gets no more events already.' : '';
  switch (because) {
    case 'processes':
      return `${consumer} is still at work: ${processesOf(status)}. Stop it first; or use --drain: then it gets no more events, and works off what waits.${already}`;
    case 'messages':
      return `${consumer} still has work: ${workOf(status)}. Start it to work this off, replay or drop its dead letters; or throw all of it away with --drop.${already}`;
    default:
      return because satisfies never;
  }
}

function processesOf({ processes, shardsServed }: ConsumerStatus): string {
  const named = processes.map(({ host, pid }) => `process ${pid} on ${host}`);
  return named.length > 0 ? named.join(', ') : `a process serves ${shardsServed} of its shards`;
}

function workOf({ waiting, inHand, retrying, dead }: ConsumerStatus): string {
  const counts = { waiting: waiting + inHand, retrying, dead };
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ');
}
