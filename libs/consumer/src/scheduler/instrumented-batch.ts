import { inBatchSpan } from './batch-span.js';
import { batchEntries, mergedTotal, processSeconds } from './metrics.js';
import type { FailedEntry } from './batch.js';

/** A batch as lanes produce it, without the fields that are not measured. */
export interface InstrumentedBatch {
  consumer: string;
  memberId: string;
  entries: readonly { readonly receipts: readonly unknown[]; readonly traceparents?: readonly string[] }[];
}

/** Runs a handler on its batch and records its size, its duration and its trace span. */
export async function instrument(
  { consumer, memberId, entries }: InstrumentedBatch,
  handle: () => Promise<readonly FailedEntry[]>,
): Promise<readonly FailedEntry[]> {
  const events = entries.reduce((sum, { receipts }) => sum + receipts.length, 0);
  const traceparents = entries.flatMap((entry) => entry.traceparents ?? []);
  batchEntries.observe({ consumer }, entries.length);
  mergedTotal.inc({ consumer }, events - entries.length);
  const stopTimer = processSeconds.startTimer({
    messaging_operation_name: 'process',
    messaging_consumer_group_name: consumer,
  });
  try {
    const batch = { consumer, memberId, entries: entries.length, events, traceparents };
    const failed = await inBatchSpan(batch, handle, ([first]) => first);
    stopTimer(failed[0] && { error_type: typeName(failed[0].error) });
    return failed;
  } catch (error) {
    stopTimer({ error_type: typeName(error) });
    throw error;
  }
}

/** Not the error code: Bitrix24 codes are unbounded, which would be too many label values. */
function typeName(error: unknown): string {
  return error instanceof Error ? error.name : '_OTHER';
}
