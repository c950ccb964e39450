import { describe, expect, it } from '@jest/globals';
import { register } from 'prom-client';
import { instrument } from './instrumented-batch.js';

class OddError extends Error {
  override readonly name = 'OddError';
  readonly code = 'ANY_CODE_OF_A_PORTAL';
}

const entry = (events: number) => ({ receipts: Array.from({ length: events }) });

async function shown(consumer: string): Promise<string[]> {
  const text = await register.metrics();
  return text
    .split('\n')
    .filter((line) => line.includes(`"${consumer}"`) && !line.includes('_bucket{'))
    .filter((line) => !/duration_seconds_sum/.test(line));
}

describe('the metrics of batches', () => {
  it('record their size, and how many events were merged', async () => {
    const batch = { consumer: 'sizes', memberId: 'm1', entries: [entry(1), entry(5)] };
    await expect(instrument(batch, async () => [])).resolves.toEqual([]);
    expect(await shown('sizes')).toEqual([
      'messaging_process_duration_seconds_count{messaging_operation_name="process",messaging_consumer_group_name="sizes"} 1',
      'relay_bus_batch_entries_sum{consumer="sizes"} 2',
      'relay_bus_batch_entries_count{consumer="sizes"} 1',
      'relay_bus_merged_total{consumer="sizes"} 4',
    ]);
  });

  it('record the error type of a full or partial failure, and neither code nor portal', async () => {
    const batch = { consumer: 'failures', memberId: 'm1', entries: [entry(1)] };
    const error = new OddError();
    await expect(instrument(batch, () => Promise.reject(error))).rejects.toBe(error);
    await instrument(batch, async () => [{ entity: 'CRMCONTACT:1', error }]);
    await instrument(batch, async () => [{ entity: 'CRMCONTACT:1', error: 'a text' }]);
    const durations = (await shown('failures')).filter((line) => line.startsWith('messaging_process'));
    expect(durations).toEqual([
      expect.stringMatching(/error_type="OddError"\} 2$/),
      expect.stringMatching(/error_type="_OTHER"\} 1$/),
    ]);
    expect(await register.metrics()).not.toMatch(/"m1"|ANY_CODE/);
  });
});
