import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { z } from 'zod';

/** What an answer needs at its worst, in bytes: its text, what it is made into, and what is made of that to store it. */
export interface Needed {
  readonly bytes: number;
  readonly memoryBytes: number;
  readonly isWide: boolean;
}

/** Less than this is not worth a look: many of them fit beside each other. */
const SMALL = 2 * 1024 * 1024;
/** Left for everything else that goes on meanwhile. */
const RESERVE = 8 * 1024 * 1024;
/** Between collections that are asked for here. */
const COLLECT_EVERY_MS = 1_000;

/**
 * Whether this process has room for an answer, beside what it has in hand for other portals: `no-room` when it has not now,
 * `too-long` when it would not have even if it had nothing else to do. Without the question several large answers at
 * once, each of which may be, would end the process.
 */
export function reserveMemory(needed: Needed, heap: Heap = PROCESS_HEAP): 'no-room' | 'too-long' | undefined {
  const { bytes, memoryBytes, isWide } = needed;
  if (memoryBytes <= SMALL && bytes <= SMALL) return undefined;
  const need = bytes * (isWide ? 2 : 1) + memoryBytes + bytes + RESERVE;
  if (heap.free() >= need) return undefined;
  heap.collect();
  const free = heap.free();
  if (free >= need) return undefined;
  return need > heap.limit() * MAX_OF_HEAP ? 'too-long' : 'no-room';
}

/** More than this is never free: the program itself lives there, too. */
const MAX_OF_HEAP = 0.7;

export interface Heap {
  limit(): number;
  /** Garbage counts as used. */
  free(): number;
  /** Makes free what is garbage, now and then. */
  collect(): void;
}

const collector = z.custom<() => void>((value) => typeof value === 'function');
let collectedAtMs = -Infinity;

const PROCESS_HEAP: Heap = {
  limit: () => getHeapStatistics().heap_size_limit,
  free() {
    const { heap_size_limit: limit, used_heap_size: used } = getHeapStatistics();
    return limit - used;
  },
  collect() {
    if (performance.now() - collectedAtMs < COLLECT_EVERY_MS) return;
    collectedAtMs = performance.now();
    // The one way to it in a program that was not started for it; it takes tenths of a second.
    setFlagsFromString('--expose-gc');
    collector.parse(runInNewContext('gc'))();
  },
};
