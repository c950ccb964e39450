/** What an operator has to look at, from what the API says; the worst first. */
import type {
  JournalsResponse,
  ListedConsumer,
  PortalSearchResponse,
  SyncResponse,
  TopologyPart,
} from '@relay/admin-contract';
import {
  age,
  consumerNote,
  grouped,
  jobName,
  jobTrouble,
  journalsLines,
  plural,
  portalNote,
} from '@relay/admin-contract/texts';
import { addressOf } from './address.js';
import { timeOfDay } from './foreign-text.js';

/** What was read so far; what cannot be read is left out. */
interface AdminSnapshot {
  consumers?: readonly ListedConsumer[] | undefined;
  /** Those that need attention, the first of them. */
  portals?: PortalSearchResponse | undefined;
  sync?: SyncResponse | undefined;
  journal?: JournalsResponse | undefined;
  topology?: readonly TopologyPart[] | undefined;
  unrouted?: readonly { name: string; events: number }[] | undefined;
}

export interface Finding {
  key: string;
  /** `bad`: events are not worked on, or may be lost to their purpose. `warn`: somebody should know. */
  level: 'bad' | 'warn';
  title: string;
  detail: string;
  /** Where it is shown, and can be mended. */
  href: string;
}

const MAX_NAMED = 3;

const PORTAL_STATES = [
  ['needs-reauth', 'must be authorized again'],
  ['needs-webhook', 'must get another incoming webhook'],
  ['suspended', 'suspended'],
  ['unreachable', 'whose events do not arrive'],
] as const;

export function findingsIn({
  consumers = [],
  portals,
  sync,
  journal,
  topology,
  unrouted,
}: AdminSnapshot): Finding[] {
  const findings = [
    ...consumers.flatMap(ofConsumer),
    ...(journal ? ofJournals(journal) : []),
    ...ofTopology(topology ?? []),
    ...(portals ? ofPortals(portals) : []),
    ...(sync ? ofSync(sync) : []),
    ...ofUnrouted(unrouted ?? []),
  ];
  return [
    ...findings.filter(({ level }) => level === 'bad'),
    ...findings.filter(({ level }) => level === 'warn'),
  ];
}

function ofConsumer(consumer: ListedConsumer): Finding[] {
  const { consumer: name, dead, waiting, inHand, retrying } = consumer;
  const findings: Finding[] = [];
  const note = consumerNote(consumer);
  if (note?.isBad) {
    const work = [
      [waiting + inHand, 'waiting'],
      [retrying, 'retrying'],
    ] as const;
    const detail = work
      .filter(([count]) => count > 0)
      .map(([count, what]) => `${plural(count, 'event')} ${what}`);
    findings.push({
      key: `consumer ${name}`,
      level: 'bad',
      title: `${name}: ${sentence(note.text)}`,
      detail: detail.join(', '),
      href: addressOf('consumers'),
    });
  }
  if (dead > 0) {
    findings.push({
      key: `dead ${name}`,
      level: 'bad',
      title: `${plural(dead, 'dead letter')} of ${name}`,
      detail: 'Find the cause, remove it, then replay them.',
      href: addressOf('dead-letters', '', { consumer: name }),
    });
  }
  return findings;
}

function ofJournals({ gateways }: JournalsResponse): Finding[] {
  const href = addressOf('consumers');
  const kept = gateways.reduce((sum, { events }) => sum + events, 0);
  const bad = journalsLines(gateways).filter(({ isBad, text }) => isBad && !text.startsWith('Gateway '));
  return [
    ...bad.map(({ text }, index) => ({
      key: `journal ${index}`,
      level: 'bad' as const,
      title: `Journal: ${sentence(text)}`,
      detail: '',
      href,
    })),
    ...(kept > 0
      ? [
          {
            key: 'journal',
            level: 'warn' as const,
            title: `${plural(kept, 'event')} in the journal`,
            detail: 'The gateway hands them to the bus as soon as the bus takes them.',
            href,
          },
        ]
      : []),
  ];
}

function ofTopology(parts: readonly TopologyPart[]): Finding[] {
  const broken = parts.filter(({ state }) => state !== 'ok');
  if (broken.length === 0) return [];
  return [
    {
      key: 'topology',
      level: 'bad',
      title: `${plural(broken.length, 'part')} of the bus ${broken.length === 1 ? 'is' : 'are'} not as it should be`,
      detail: named(broken.map(({ kind, name, state }) => `${kind} ${name} ${state}`)),
      href: addressOf('consumers'),
    },
  ];
}

function ofPortals({ portals, counts }: PortalSearchResponse): Finding[] {
  const findings: Finding[] = [];
  let known = 0;
  for (const [state, text] of PORTAL_STATES) {
    const count = counts[state];
    if (count === 0) continue;
    known += count;
    const some = portals.filter((portal) => portal.state === state);
    findings.push({
      key: `portals ${state}`,
      level: 'bad',
      title: `${plural(count, 'portal')} ${text}`,
      detail: named(
        some.map(({ domain }) => domain),
        count,
      ),
      href: one(some, count) ?? addressOf('portals', '', { state }),
    });
  }
  const rest = counts.attention - known;
  if (rest <= 0) return findings;
  const some = portals.filter(({ state }) => !PORTAL_STATES.some(([each]) => each === state));
  const [first] = some;
  findings.push({
    key: 'portals',
    level: 'warn',
    title: `The events of ${plural(rest, 'portal')} are not bound as they should be`,
    detail: first ? `${first.domain}: ${portalNote(first, timeOfDay)}` : '',
    href: one(some, rest) ?? addressOf('portals', '', { state: 'attention' }),
  });
  return findings;
}

function one(some: readonly { memberId: string }[], count: number): string | undefined {
  return count === 1 && some[0] ? addressOf('portals', some[0].memberId) : undefined;
}

function ofSync({ tasks }: SyncResponse): Finding[] {
  const bad = tasks.filter(({ state, isSilent }) => state === 'failed' || isSilent);
  const href = addressOf('mirror');
  if (bad.length > MAX_NAMED) {
    const detail = named(bad.map(({ domain }) => domain));
    const title = `${plural(bad.length, 'job')} of the mirror failed`;
    return [{ key: 'jobs', level: 'warn', title, detail, href }];
  }
  return bad.map((job) => ({
    key: `job ${job.id}`,
    level: 'warn',
    title: `${sentence(jobName(job.kind))} of ${job.domain} ${job.isSilent ? 'is silent' : 'failed'}`,
    detail: `${jobTrouble(job)}${job.endedAt === null ? '' : `, ${age(job.endedAt)} ago`}`,
    href,
  }));
}

function ofUnrouted(unrouted: readonly { name: string; events: number }[]): Finding[] {
  const events = unrouted.reduce((sum, each) => sum + each.events, 0);
  if (events === 0) return [];
  return [
    {
      key: 'unrouted',
      level: 'warn',
      title: `${plural(events, 'event')} without a subscriber`,
      detail: named(unrouted.map(({ name, events: count }) => `${name} ${grouped(count)}`)),
      href: addressOf('consumers'),
    },
  ];
}

function named(names: readonly string[], count = names.length): string {
  const shown = names.slice(0, MAX_NAMED);
  const rest = count - shown.length;
  return `${shown.join(', ')}${rest > 0 ? ` and ${grouped(rest)} more` : ''}`;
}

/** The command line shouts where a page has colours. */
function sentence(text: string): string {
  const calm = text.replace(/\b[A-Z]{2,}(?: [A-Z]+)*\b/g, (words) => words.toLowerCase());
  return calm.slice(0, 1).toUpperCase() + calm.slice(1);
}
