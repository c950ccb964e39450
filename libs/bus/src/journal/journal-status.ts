import type { Log } from '@relay/platform';
import { Journal, type JournalLimits } from './journal.js';
import { listSlots, openSlot } from './slot.js';

/** What lies in one slot of the journal. */
export interface SlotContents {
  slot: number;
  events: number;
  /** Of their messages. */
  bytes: number;
  /** When the journal took its oldest event; null when it is empty. */
  oldestAt: Date | null;
  /** Events that a newer version has written, beside `events`: this one leaves them where they are, for the upgrade. */
  newer: number;
  /** Events that no version reads, beside `events`: they stay for a person. */
  unreadable: number;
}

export type OtherSlot =
  /** Another process has it open; or this one is emptying it at this moment. */
  | { slot: number; state: 'held' }
  /** Nobody has it open; this gateway empties it as soon as the bus is there. */
  | (SlotContents & { state: 'orphaned' })
  /** It stays for a person; the gateway's log says what is wrong with it. */
  | { slot: number; state: 'unreadable' };

export interface JournalStatus extends Omit<SlotContents, 'slot'> {
  /** Null while none can be opened. */
  slot: number | null;
  limits: JournalLimits;
  /** An event that the bus does not take now would be taken. */
  isOpen: boolean;
  /** So that events go here. */
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

/** Every other slot of the folder. One that nobody has open is opened for the moment of the look. */
export async function otherSlots(
  folder: string,
  own: number | undefined,
  limits: JournalLimits,
  log: Log,
): Promise<OtherSlot[]> {
  const slots = await listSlots(folder).catch(() => []);
  const others = slots.filter((slot) => slot !== own).toSorted((one, two) => one - two);
  const looked: OtherSlot[] = [];
  for (const slot of others) looked.push(await lookInto(folder, slot, limits, log));
  return looked;
}

async function lookInto(folder: string, slot: number, limits: JournalLimits, log: Log): Promise<OtherSlot> {
  try {
    const opened = await openSlot(folder, slot);
    if (!opened) return { slot, state: 'held' };
    const journal = await Journal.over(opened, slot, limits, log);
    const contents = contentsOf(journal);
    await journal.close();
    return { ...contents, state: 'orphaned' };
  } catch (error) {
    log.error({ err: error, slot }, 'a slot of the journal cannot be read');
    return { slot, state: 'unreadable' };
  }
}
