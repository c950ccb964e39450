import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { z } from 'zod';

/** Worst-case memory of a response in bytes: its text, the parsed value, and the serialized form for storage. */
interface MemoryDemand {
  readonly bytes: number;
  readonly memoryBytes: number;
  readonly isWide: boolean;
}

/** Smaller responses are not checked: many of them fit at the same time. */
const SMALL = 2 * 1024 * 1024;
/** Kept free for concurrent work. */
const RESERVE = 8 * 1024 * 1024;
/** Minimum interval between garbage collections that are forced here. */
const COLLECT_EVERY_MS = 1_000;

/**
 * Checks the free heap for a response: `no-room` when it does not fit now, `too-long` when it would not fit into an
 * idle process either. Without the check several large responses at once, each within its limit, would crash the
 * process.
 */
export function reserveMemory(
  demand: MemoryDemand,
  heap: Heap = PROCESS_HEAP,
): 'no-room' | 'too-long' | undefined {
  const { bytes, memoryBytes, isWide } = demand;
  if (memoryBytes <= SMALL && bytes <= SMALL) return undefined;
  const need = bytes * (isWide ? 2 : 1) + memoryBytes + bytes + RESERVE;
  if (heap.free() >= need) return undefined;
  heap.collect();
  const free = heap.free();
  if (free >= need) return undefined;
  return need > heap.limit() * MAX_OF_HEAP ? 'too-long' : 'no-room';
}

/** The heap of an idle process that can be free; the program itself uses the rest. */
const MAX_OF_HEAP = 0.7;

interface Heap {
  limit(): number;
  /** Uncollected garbage counts as used. */
  free(): number;
  /** Forces a garbage collection, at most once per `COLLECT_EVERY_MS`. */
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
    // The only access to gc() without the flag at start; a collection takes tenths of a second.
    setFlagsFromString('--expose-gc');
    collector.parse(runInNewContext('gc'))();
  },
};

const MIB = 1024 * 1024;

/** Methods about the application, its user and its events. */
const ABOUT_APPLICATION =
  /^(?:app\.|user\.(?:admin|access|current)$|access\.|scope$|methods?$|method\.|feature\.|profile$|server\.|event\.(?:bind|unbind|get|test)$|events$)/;
const MAX_ABOUT_APPLICATION = MIB;

/** Metadata of a portal: types, fields and their values. */
const DESCRIPTIONS =
  /^(?:crm\.(?:type|status|category|enum|currency)\.|userfieldconfig\.|userfieldtype\.)|\.(?:fields|getfields|userfield\.\w+)$/;
const MAX_DESCRIPTIONS = 8 * MIB;

/** One item of the maximum size with its envelope, or 2,500 typical items. */
const MAX_ITEMS = 16 * MIB + 64 * 1024;

/**
 * Maximum decompressed bytes of a response: the largest limit of its methods. Responses that an incoming request waits
 * for are small; a request for many items can be split.
 *
 * @param methods in lower case
 */
export function maxResponseBytes(methods: readonly string[]): number {
  const all = methods.filter((method) => method !== 'batch').map(maxBytesOf);
  return Math.max(MAX_ABOUT_APPLICATION, ...all);
}

function maxBytesOf(method: string): number {
  if (ABOUT_APPLICATION.test(method)) return MAX_ABOUT_APPLICATION;
  return DESCRIPTIONS.test(method) ? MAX_DESCRIPTIONS : MAX_ITEMS;
}
