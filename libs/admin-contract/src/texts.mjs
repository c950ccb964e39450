/**
 * The texts of states, the same on the command line and on the console, which imports this file alone
 * (`@relay/admin-contract/texts`): it imports nothing, and uses nothing that only Node or only a browser has.
 */

/** @typedef {import('./sync.js').SyncJob & { isSilent?: boolean }} Job as the list of all portals, or of one, has it */
/** @typedef {import('./consumers.js').ListedConsumer} ListedConsumer */
/** @typedef {import('./portals.js').ListedPortal} ListedPortal */
/** @typedef {import('./journal.js').ReportedJournal} ReportedJournal */
/** @typedef {{ text: string, isBad: boolean }} Line */

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const MEGABYTE = 1024 ** 2;
/** The consumer polls every second: a job that has not begun by then has no consumer, or one that is busy. */
const START_TIMEOUT_MS = 15 * SECOND_MS;

/** @param {number} count */
export function grouped(count) {
  return count.toLocaleString('en');
}

/** @param {number} count @param {string} word */
export function plural(count, word) {
  if (count === 1) return `1 ${word}`;
  return `${grouped(count)} ${word}${word.endsWith('s') ? 'es' : 's'}`;
}

/** `45 s`, `12 min`, `3 h`, `2 d`. @param {number} ms */
export function duration(ms) {
  if (Number.isNaN(ms)) return 'an unknown time';
  const positive = Math.max(0, ms);
  if (positive < 2 * MINUTE_MS) return `${Math.round(positive / SECOND_MS)} s`;
  if (positive < 2 * HOUR_MS) return `${Math.round(positive / MINUTE_MS)} min`;
  if (positive < 2 * DAY_MS) return `${Math.round(positive / HOUR_MS)} h`;
  return `${Math.round(positive / DAY_MS)} d`;
}

/** @param {string} iso @param {number} now */
export function age(iso, now = Date.now()) {
  return duration(now - Date.parse(iso));
}

const JOB_NAMES = new Map([
  ['complete', 'first reading'],
  ['backfill', 'backfill'],
  ['reconcile', 'reconciliation'],
  ['count', 'count of values that do not fit'],
]);

/** @param {string} kind */
export function jobName(kind) {
  return JOB_NAMES.get(kind) ?? kind;
}

/**
 * The consumer defines a job's progress, and another version of it may report anything.
 *
 * @param {Pick<Job, 'progress' | 'state'>} job
 */
export function progressOf({ progress, state }) {
  const { items, itemsPerSecond, part, secondsLeft, types, found, lost, leftOut } = progress;
  return {
    items: numberOr(items, 0),
    itemsPerSecond: numberOr(itemsPerSecond, 0),
    /** 0 to 1; undefined while nobody can tell. */
    part: partOr(part, state === 'done' ? 1 : state === 'running' ? undefined : 0),
    secondsLeft: numberOr(secondsLeft, undefined),
    types: records(types).map(({ entityTypeId, title, items: count, isDone }) => ({
      entityTypeId: textOr(entityTypeId, '?'),
      title: textOr(title, '?'),
      items: numberOr(count, 0),
      isDone: isDone === true,
    })),
    found: counted(found),
    lost: Array.isArray(lost) ? lost.length : 0,
    leftOut: counted(leftOut),
  };
}

/** Progress or result, in one line. @param {Job} job @param {number} now */
export function jobText(job, now = Date.now()) {
  const { kind, state, startedAt, endedAt } = job;
  const { items, itemsPerSecond, secondsLeft, found, lost, leftOut } = progressOf(job);
  const hasItems = kind !== 'count';
  const hasEnded = state === 'done' || state === 'failed';
  if (state === 'running' && job.progress['items'] === undefined) return 'has begun';
  const parts = hasItems && !(state === 'waiting' && items === 0) ? [plural(items, 'item')] : [];
  if (state === 'running' && !job.isSilent && hasItems) {
    parts.push(`${grouped(itemsPerSecond)} a second`);
    if (secondsLeft !== undefined) parts.push(`${duration(secondsLeft * SECOND_MS)} left`);
  }
  if (hasEnded && startedAt !== null && endedAt !== null) {
    const ms = Date.parse(endedAt) - Date.parse(startedAt);
    parts.push(ms < SECOND_MS ? 'in less than a second' : `in ${duration(ms)}`, `${age(endedAt, now)} ago`);
  }
  if (kind === 'reconcile' && state !== 'waiting') {
    if (found.length > 0) parts.push(found.join(', '));
    else if (hasEnded) parts.push('no difference');
  }
  if (lost > 0) parts.push(`${plural(lost, 'smart process')} could not be read to the end`);
  if (leftOut.length > 0) parts.push(`left out: ${leftOut.join(', ')}`);
  return parts.join(' · ');
}

/** Of a type of a portal. @param {ReturnType<typeof progressOf>['types'][number]} type */
export function typeText({ items, isDone }) {
  return `${grouped(items)}${isDone ? '' : ', incomplete'}`;
}

/**
 * Why a job has not begun, if known.
 *
 * @param {Job} job
 * @param {readonly Job[]} all
 * @param {number} waitedMs
 */
export function waitingReason(
  { state, memberId, error, requestedAt },
  all,
  waitedMs = Date.now() - Date.parse(requestedAt),
) {
  if (state !== 'waiting' || error !== null) return '';
  const running = all.filter((other) => other.state === 'running');
  const before = running.find((other) => other.memberId === memberId);
  if (before) return `waits for the end of the ${jobName(before.kind)} of this portal: ${jobText(before)}`;
  return running.length === 0 && waitedMs > START_TIMEOUT_MS ? 'is smart-process-sync running?' : '';
}

/** What is wrong with a job; empty if nothing is. @param {Job} job */
export function jobTrouble({ state, error, isSilent }) {
  if (state === 'failed') return error ?? 'the log of smart-process-sync says why';
  if (isSilent)
    return 'Its process does not report any more: another one continues it. Is smart-process-sync running?';
  return error === null ? '' : `${error}, retrying`;
}

/** @param {ListedConsumer} consumer @returns {Line | undefined} */
export function consumerNote({ missing, unknown, newer, processes, shardsServed }) {
  if (missing) {
    // A process that was killed is listed until its last report is too old.
    const listed = processes.length > 0 ? ', what is listed consumes nothing' : '';
    return { text: `NOBODY WORKS ON IT${listed}: start it`, isBad: true };
  }
  if (processes.some(({ isPaused }) => isPaused)) {
    return { text: 'PAUSED: every event fails; one at a time is tried', isBad: true };
  }
  if (newer > 0) return { text: `${grouped(newer)} OF A NEWER VERSION wait for the upgrade`, isBad: true };
  if (unknown) return { text: 'nothing exists for it on the bus', isBad: false };
  if (processes.length > 0 && shardsServed === 0) {
    return { text: 'its processes do not consume: see their logs', isBad: true };
  }
  if (processes.length === 0 && shardsServed > 0) {
    return { text: 'a process that cannot report its state consumes its queues', isBad: false };
  }
  return undefined;
}

/**
 * Of which events of a consumer the portals are known: of those that its processes hold. Empty if nothing waits.
 * @param {Pick<ListedConsumer, 'inHand' | 'waiting'>} consumer
 */
export function portalsKnownText({ inHand, waiting }) {
  if (inHand === 0 && waiting === 0) return '';
  if (inHand === 0)
    return `${plural(waiting, 'event')} in the queue: whose they are is known once a process takes them.`;
  const rest =
    waiting === 0
      ? 'none waits in the queue'
      : `${grouped(waiting)} more ${waiting === 1 ? 'waits' : 'wait'} in the queue, of portals that are not known yet`;
  return `Whose events its processes hold now, ${grouped(inHand)} in all, the most first; ${rest}.`;
}

/** Each gateway has its own. @param {readonly ReportedJournal[]} journals @returns {Line[]} */
export function journalsLines(journals) {
  if (journals.length === 0) return [{ text: 'NO GATEWAY REPORTS: events are not taken', isBad: true }];
  return journals.flatMap((journal) => {
    const lines = journalLines(journal);
    if (journals.length === 1) return lines;
    const name = `Gateway ${journal.pid} on ${journal.host}`;
    return [{ text: name, isBad: lines.some(({ isBad }) => isBad) }, ...lines];
  });
}

/** @param {Omit<ReportedJournal, 'host' | 'pid' | 'reportedAt'>} journal @returns {Line[]} */
export function journalLines({ slot, limits, isOpen, isBusAway, others, ...own }) {
  const lines = [
    isBusAway
      ? { text: 'The bus is down: events are kept here.', isBad: true }
      : { text: 'The bus is up: events go to it.', isBad: false },
    ...(slot === null
      ? [{ text: 'NO SLOT CAN BE OPENED: see the log', isBad: true }]
      : slotLines({ slot, ...own }, '')),
  ];
  if (!isOpen) {
    const text = 'IT TAKES NO MORE EVENTS: it is full, or its disk cannot be written; see the log';
    lines.push({ text, isBad: true });
  }
  for (const other of others) {
    if (other.state === 'held') {
      lines.push({ text: `Slot ${other.slot}: held by another gateway`, isBad: false });
    }
    if (other.state === 'unreadable') {
      lines.push({ text: `Slot ${other.slot}: CANNOT BE READ, see the log`, isBad: true });
    }
    if (other.state === 'orphaned') lines.push(...slotLines(other, '; orphaned, drained by this gateway'));
  }
  const [most, oldest] = [grouped(limits.maxBytes / MEGABYTE), duration(limits.maxAgeMs)];
  const text = `It takes ${most} MB, and nothing more once its oldest event is ${oldest} old.`;
  lines.push({ text, isBad: false });
  return lines;
}

/**
 * @param {{ slot: number, events: number, bytes: number, oldestAt: string | null, newer: number, unreadable: number }} contents
 * @param {string} addition
 * @returns {Line[]}
 */
function slotLines({ slot, events, bytes, oldestAt, newer, unreadable }, addition) {
  const oldest = oldestAt === null ? '' : `, the oldest ${age(oldestAt)} old`;
  const size = `${plural(events, 'event')}, ${(bytes / MEGABYTE).toFixed(1)} MB${oldest}`;
  const lines = [{ text: `Slot ${slot}: ${events === 0 ? 'empty' : size}${addition}`, isBad: false }];
  if (newer > 0) {
    lines.push({
      text: `Slot ${slot}: ${grouped(newer)} OF A NEWER VERSION wait for the upgrade`,
      isBad: true,
    });
  }
  if (unreadable > 0) {
    lines.push({ text: `Slot ${slot}: ${grouped(unreadable)} CANNOT BE READ, see the log`, isBad: true });
  }
  return lines;
}

/**
 * What to do about a portal, or what happens next.
 *
 * @param {ListedPortal} portal
 * @param {(iso: string) => string} formatTime
 */
export function portalNote(
  { state, suspendedReason, suspendedUntil, bindings, delivery, drift, arrivals },
  formatTime = (iso) => iso,
) {
  if (state === 'needs-reauth') return 'an administrator must open the application there';
  if (state === 'needs-webhook')
    return 'it rejects its incoming webhook: make another incoming webhook there, then: relay portals webhook';
  if (state === 'resuming') return 'it is called again, and has not answered yet';
  if (state === 'unreachable') return unreachableText(arrivals, formatTime);
  if (state !== 'suspended') {
    return [deliveryText(delivery), bindings?.note ?? '', driftText(drift, formatTime)]
      .filter((text) => text !== '')
      .join('; ');
  }
  const next = suspendedUntil === null ? 'at once' : formatTime(suspendedUntil);
  return `${suspendedReason ?? 'no reason given'}, next try ${next}`;
}

/** @param {ListedPortal['arrivals']} arrivals @param {(iso: string) => string} formatTime */
function unreachableText(arrivals, formatTime) {
  const since = arrivals?.unreachableSince ? ` since ${formatTime(arrivals.unreachableSince)}` : '';
  const last = arrivals?.lastEventAt ? `, the last one came ${formatTime(arrivals.lastEventAt)}` : '';
  const seen =
    arrivals?.reason === 'offline-only'
      ? `; ${plural(arrivals.onlyOffline, 'event')} came by its offline queue alone`
      : '';
  return `its events do not reach us${since}${last}${seen}: look at PUBLIC_URL, DNS, certificate, and the proxy and firewall in front of the gateway, then: relay portals test`;
}

/** Empty for a portal in mode `both`, as most are, if nobody has to act. @param {ListedPortal['delivery']} delivery */
function deliveryText(delivery) {
  if (delivery === undefined) return '';
  const { mode, bound, note } = delivery;
  if (note !== null) return `delivery ${mode}: ${note}`;
  if (mode === 'both') return '';
  return mode === 'online' ? 'delivery online' : `delivery offline: ${plural(bound, 'event')} bound offline`;
}

/** Empty unless somebody else changes handlers there. @param {ListedPortal['drift']} drift @param {(iso: string) => string} formatTime */
function driftText(drift, formatTime) {
  if (!drift || drift.missing + drift.surplus === 0) return '';
  const { missing, surplus, checkedAt } = drift;
  const parts = [
    ...(missing > 0 ? [`${plural(missing, 'handler')} missing`] : []),
    ...(surplus > 0 ? [`${grouped(surplus)} surplus`] : []),
  ];
  return `${parts.join(', ')} at its comparison of ${formatTime(checkedAt)}`;
}

/** @param {unknown} counts by what was counted */
function counted(counts) {
  return Object.entries(typeof counts === 'object' && counts !== null ? counts : {}).flatMap(
    ([what, count]) => (typeof count === 'number' && count > 0 ? [`${grouped(count)} ${what}`] : []),
  );
}

/**
 * @template T
 * @param {unknown} value
 * @param {T} otherwise
 */
function numberOr(value, otherwise) {
  return typeof value === 'number' && Number.isFinite(value) ? value : otherwise;
}

/**
 * @template Otherwise
 * @param {unknown} value
 * @param {Otherwise} otherwise
 */
function partOr(value, otherwise) {
  const part = numberOr(value, undefined);
  return part === undefined ? otherwise : Math.min(1, Math.max(0, part));
}

/** @param {unknown} value @param {string} otherwise */
function textOr(value, otherwise) {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : otherwise;
}

/** @param {unknown} value @returns {Record<string, unknown>[]} */
function records(value) {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'object' && one !== null) : [];
}
