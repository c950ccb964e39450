import type { Log } from '@relay/platform';
import { Journal, type JournalLimits } from './journal.js';
import { listSlots, openSlot } from './slot.js';

/** The contents of one slot of the journal. */
interface SlotContents {
  slot: number;
  events: number;
  /** Total size of their messages. */
  bytes: number;
  /** When the journal stored its oldest event; null when it is empty. */
  oldestAt: Date | null;
  /** Events written by a newer version, not counted in `events`: this version leaves them for the upgrade. */
  newer: number;
  /** Events that no version can read, not counted in `events`: they stay for an operator. */
  unreadable: number;
}

type OtherSlot =
  /** Another process has it open, or this one is draining it at this moment. */
  | { slot: number; state: 'held' }
  /** No process has it open; this gateway drains it as soon as the bus is available. */
  | (SlotContents & { state: 'orphaned' })
  /** It stays for an operator; the gateway's log has the reason. */
  | { slot: number; state: 'unreadable' };

export interface JournalStatus extends Omit<SlotContents, 'slot'> {
  /** Null while none can be opened. */
  slot: number | null;
  limits: JournalLimits;
  /** The journal accepts events that the bus does not. */
  isOpen: boolean;
  /** The bus is down, so events go to the journal. */
  isBusAway: boolean;
  others: OtherSlot[];
}

export function contentsOf(journal: Journal): SlotContents;
export function contentsOf(
  journal: Journal | undefined,
): Omit<SlotContents, 'slot'> & { slot: number | null };
export function contentsOf(
  journal: Journal | undefined,
): Omit<SlotContents, 'slot'> & { slot: number | null } {
  if (!journal) return { slot: null, events: 0, bytes: 0, oldestAt: null, newer: 0, unreadable: 0 };
  const { number: slot, size: events, bytes, oldestAt, newer, unreadable } = journal;
  return {
    slot,
    events,
    bytes,
    oldestAt: oldestAt === undefined ? null : new Date(oldestAt),
    newer,
    unreadable,
  };
}

/** Every other slot of the folder. A slot that no process has open is opened only to read its status. */
export async function otherSlots(
  folder: string,
  own: number | undefined,
  limits: JournalLimits,
  log: Log,
): Promise<OtherSlot[]> {
  const slots = await listSlots(folder).catch(() => []);
  const others = slots.filter((slot) => slot !== own).toSorted((one, two) => one - two);
  const inspected: OtherSlot[] = [];
  for (const slot of others) inspected.push(await inspectSlot(folder, slot, limits, log));
  return inspected;
}

async function inspectSlot(
  folder: string,
  slot: number,
  limits: JournalLimits,
  log: Log,
): Promise<OtherSlot> {
  try {
    const opened = await openSlot(folder, slot);
    if (!opened) return { slot, state: 'held' };
    const journal = await Journal.over(opened, slot, limits, log);
    const contents = contentsOf(journal);
    await journal.close();
    return { ...contents, state: 'orphaned' };
  } catch (error) {
    log.error({ event: 'journal.slot.unreadable', err: error, slot }, 'a slot of the journal cannot be read');
    return { slot, state: 'unreadable' };
  }
}
