import type { Log } from '@relay/platform';
import { ClassicLevel } from 'classic-level';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

/** One opener at a time, by a lock of the operating system: the process that has it open owns it. */
export type Slot = ClassicLevel<string, Buffer>;

/** Far more gateways than share one folder. */
const MAX_SLOTS = 64;

/**
 * Opens the first slot `0`, `1`, … of the folder that no other process has open: a restarted gateway finds its own
 * events, and several gateways can share a folder. A slot that cannot be opened for another reason, or that `use`
 * cannot read, is left untouched for an operator, and logged.
 * @throws the last reason when there is none
 */
export async function openFreeSlot<T>(
  folder: string,
  log: Log,
  use: (slot: Slot, number: number) => Promise<T>,
): Promise<T> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  let lastError: unknown;
  for (let number = 0; number < MAX_SLOTS; number += 1) {
    try {
      const slot = await openSlot(folder, number);
      if (slot) return await use(slot, number);
    } catch (error) {
      lastError = error;
      log.error(
        { event: 'journal.slot.unopenable', err: error, slot: number },
        'a slot of the journal cannot be opened; taking the next',
      );
    }
  }
  throw new Error(`No slot of the journal can be opened`, { cause: lastError });
}

/** @returns undefined while another process has it open */
export async function openSlot(folder: string, number: number): Promise<Slot | undefined> {
  const slot: Slot = new ClassicLevel(join(folder, String(number)), {
    keyEncoding: 'utf8',
    valueEncoding: 'buffer',
  });
  try {
    await slot.open();
    return slot;
  } catch (error) {
    if (isLocked(error)) return undefined;
    throw error;
  }
}

/** The numbers of all existing slots. */
export async function listSlots(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names.filter((name) => /^\d{1,2}$/.test(name)).map(Number);
}

/** Matches by code only: errors from native code are not always an `Error` of this realm. */
const lockedError = z.object({ cause: z.object({ code: z.literal('LEVEL_LOCKED') }) });

function isLocked(error: unknown): boolean {
  return lockedError.safeParse(error).success;
}
