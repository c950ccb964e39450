/** The texts of the page, the same as of the `relay` command. No DOM here. */

/** @typedef {import('../page-routes.js').SeenTask} SeenTask */
/** @typedef {import('../page-routes.js').SeenConsumer} SeenConsumer */
/** @typedef {import('../page-routes.js').SeenPortal} SeenPortal */
/** @typedef {import('../page-routes.js').SeenJournal} SeenJournal */

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const megabyte = 1024 ** 2;
const patienceMs = 15 * second;

const workNames = new Map([
  ['complete', 'First reading'],
  ['backfill', 'Backfill'],
  ['reconcile', 'Reconciliation'],
  ['count', 'Count of values that do not fit'],
]);

/** @param {string} kind */
export function workName(kind) {
  return workNames.get(kind) ?? kind;
}

/** @param {number} count */
export function grouped(count) {
  return count.toLocaleString('en');
}

/** @param {number} count @param {string} word */
export function plural(count, word) {
  return `${grouped(count)} ${word}${count === 1 ? '' : 's'}`;
}

/** `45 s`, `12 min`, `3 h`, `2 d`. @param {number} ms */
export function duration(ms) {
  const whole = Math.max(0, ms);
  if (whole < 2 * minute) return `${Math.round(whole / second)} s`;
  if (whole < 2 * hour) return `${Math.round(whole / minute)} min`;
  if (whole < 2 * day) return `${Math.round(whole / hour)} h`;
  return `${Math.round(whole / day)} d`;
}

/** @param {number} ms */
function took(ms) {
  return ms < second ? 'in less than a second' : `in ${duration(ms)}`;
}

/** @param {string | null} iso @param {number} now */
export function age(iso, now = Date.now()) {
  return iso === null ? '–' : duration(now - Date.parse(iso));
}

/**
 * The consumer defines a job's progress: what is missing is not known yet.
 *
 * @param {SeenTask} task
 */
export function progressOf({ progress, state }) {
  const { items, itemsPerSecond, part, secondsLeft, types, found, lost, leftOut } = progress;
  return {
    items: numberOr(items, 0),
    itemsPerSecond: numberOr(itemsPerSecond, 0),
    /** 0 to 1; undefined: nobody can tell yet. */
    part: numberOr(part, state === 'done' ? 1 : state === 'running' ? undefined : 0),
    secondsLeft: numberOr(secondsLeft, undefined),
    types: records(types).map(({ entityTypeId, title, items: count, isDone }) => ({
      entityTypeId: String(entityTypeId),
      title: String(title),
      items: numberOr(count, 0),
      isDone: isDone === true,
    })),
    found: counted(found),
    lost: Array.isArray(lost) ? lost.length : 0,
    leftOut: counted(leftOut),
  };
}

/** @param {unknown} counts by what was counted */
function counted(counts) {
  return Object.entries(typeof counts === 'object' && counts !== null ? counts : {}).flatMap(
    ([what, count]) => (typeof count === 'number' && count > 0 ? [`${grouped(count)} ${what}`] : []),
  );
}

/** Progress or result, in one line. @param {SeenTask} task @param {number} now */
export function taskText(task, now = Date.now()) {
  const { kind, state, startedAt, endedAt } = task;
  const { items, itemsPerSecond, secondsLeft, found, lost, leftOut } = progressOf(task);
  const hasItems = kind !== 'count';
  if (state === 'running' && task.progress['items'] === undefined) return 'has begun';
  const said = hasItems ? [plural(items, 'item')] : [];
  if (state === 'running' && !task.isSilent && hasItems) {
    said.push(`${grouped(itemsPerSecond)} a second`);
    if (secondsLeft !== undefined) said.push(`${duration(secondsLeft * second)} left`);
  }
  if (state === 'waiting' && items === 0) said.splice(0);
  if ((state === 'done' || state === 'failed') && startedAt !== null && endedAt !== null) {
    said.push(took(Date.parse(endedAt) - Date.parse(startedAt)), `${age(endedAt, now)} ago`);
  }
  if (kind === 'reconcile' && state !== 'waiting') said.push(found.join(', ') || 'no difference');
  if (lost > 0) said.push(`${plural(lost, 'smart process')} could not be read to the end`);
  if (leftOut.length > 0) said.push(`left out: ${leftOut.join(', ')}`);
  return said.join(' · ');
}

/**
 * Why it has not begun, if known.
 *
 * @param {SeenTask} task @param {readonly SeenTask[]} all @param {number} now
 */
export function waitingReason({ state, memberId, error, requestedAt }, all, now = Date.now()) {
  if (state !== 'waiting' || error !== null) return '';
  const isRunning = all.filter((other) => other.state === 'running');
  const before = isRunning.find((other) => other.memberId === memberId);
  if (before) return `begins when the other work at this portal has ended: ${workName(before.kind)}`;
  // The consumer polls every second, and runs a few at once.
  const isLate = isRunning.length === 0 && now - Date.parse(requestedAt) > patienceMs;
  return isLate ? 'does smart-process-sync run?' : '';
}

/** Warnings beside the numbers; empty if all is well. @param {SeenTask} task */
export function taskTrouble({ state, error, isSilent }) {
  if (state === 'failed') return error ?? 'the log of smart-process-sync says why';
  if (isSilent)
    return 'Its process is not heard of any more: another one will go on. Does smart-process-sync run?';
  if (error !== null) return `${error}; is tried again`;
  return '';
}

/** @param {SeenConsumer} consumer @returns {{ text: string, isBad: boolean } | undefined} */
export function consumerNote({ missing, unknown, newer, processes, shardsServed }) {
  if (missing) return { text: 'NOBODY WORKS ON IT: start it', isBad: true };
  if (processes.some(({ isPaused }) => isPaused)) {
    return { text: 'PAUSED: everything fails, one event at a time is tried', isBad: true };
  }
  if (newer > 0) return { text: `${grouped(newer)} OF A NEWER VERSION wait for the upgrade`, isBad: true };
  if (unknown) return { text: 'Nothing stands for it on the bus', isBad: false };
  if (processes.length > 0 && shardsServed === 0) {
    return { text: 'Its processes do not consume: see their logs', isBad: true };
  }
  if (processes.length === 0 && shardsServed > 0) {
    return { text: 'A process serves it that cannot report itself', isBad: false };
  }
  return undefined;
}

/** Each gateway has its own. @param {SeenJournal[]} journals @returns {{ text: string, isBad: boolean }[]} */
export function journalsLines(journals) {
  if (journals.length === 0) return [{ text: 'NO GATEWAY REPORTS: events are not taken', isBad: true }];
  return journals.flatMap((journal) => {
    const lines = journalLines(journal);
    if (journals.length === 1) return lines;
    const name = `Gateway ${journal.pid} on ${journal.host}`;
    return [{ text: name, isBad: lines.some(({ isBad }) => isBad) }, ...lines];
  });
}

/** @param {Omit<SeenJournal, 'host' | 'pid' | 'reportedAt'>} journal @returns {{ text: string, isBad: boolean }[]} */
export function journalLines({ slot, limits, isOpen, isBusAway, others, ...own }) {
  const lines = [
    isBusAway
      ? { text: 'The bus is away: events are kept here.', isBad: true }
      : { text: 'The bus is there: events go onto it.', isBad: false },
    slot === null
      ? { text: 'NO SLOT CAN BE OPENED: see the log', isBad: true }
      : { text: slotText({ slot, ...own }), isBad: false },
    ...asideLines({ slot, ...own }),
  ];
  if (!isOpen) {
    const text = 'IT TAKES NO MORE EVENTS: it is full, or its disk cannot be written; see the log';
    lines.push({ text, isBad: true });
  }
  for (const other of others) {
    if (other.state === 'held')
      lines.push({ text: `Slot ${other.slot}: held by another gateway`, isBad: false });
    if (other.state === 'unreadable') {
      lines.push({ text: `Slot ${other.slot}: CANNOT BE READ, see the log`, isBad: true });
    }
    if (other.state === 'orphaned') {
      lines.push({ text: `${slotText(other)}; left behind, emptied by this gateway`, isBad: false });
      lines.push(...asideLines(other));
    }
  }
  const [most, oldest] = [grouped(limits.maxBytes / megabyte), duration(limits.maxAgeMs)];
  lines.push({
    text: `It takes ${most} MB, and nothing more once its oldest event is ${oldest} old.`,
    isBad: false,
  });
  return lines;
}

/** @param {{ slot: number, events: number, bytes: number, oldestAt: string | null }} contents */
function slotText({ slot, events, bytes, oldestAt }) {
  if (events === 0) return `Slot ${slot}: empty`;
  const oldest = oldestAt === null ? '' : `, the oldest ${age(oldestAt)} old`;
  return `Slot ${slot}: ${plural(events, 'event')}, ${(bytes / megabyte).toFixed(1)} MB${oldest}`;
}

/** Contents of a slot that are not delivered. @param {{ slot: number | null, newer: number, unreadable: number }} contents */
function asideLines({ slot, newer, unreadable }) {
  const lines = [];
  if (newer > 0) {
    lines.push({
      text: `Slot ${slot}: ${plural(newer, 'event')} OF A NEWER VERSION, for the upgrade`,
      isBad: true,
    });
  }
  if (unreadable > 0) {
    lines.push({
      text: `Slot ${slot}: ${plural(unreadable, 'event')} CANNOT BE READ, see the log`,
      isBad: true,
    });
  }
  return lines;
}

/** What to do about a portal, or what happens next. @param {SeenPortal} portal */
export function portalNote({ state, suspendedReason, suspendedUntil, bindings }) {
  if (state === 'needs-reauth') return 'An administrator must open the application there.';
  if (state === 'needs-webhook')
    return 'The portal does not know its incoming webhook any more: make another.';
  if (state === 'resuming') return 'It is called again, and has not answered yet.';
  if (state !== 'suspended') return bindings?.note ?? '';
  const next = suspendedUntil === null ? 'at once' : new Date(suspendedUntil).toLocaleTimeString();
  return `${suspendedReason ?? 'No reason given'}; next try ${next}`;
}

/**
 * @template T
 * @param {unknown} value
 * @param {T} otherwise
 */
function numberOr(value, otherwise) {
  return typeof value === 'number' && Number.isFinite(value) ? value : otherwise;
}

/** @param {unknown} value @returns {Record<string, unknown>[]} */
function records(value) {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'object' && one !== null) : [];
}
