import { describe, expect, it } from '@jest/globals';
import { OperatingMeter } from './operating.js';

const minuteMs = 60_000;

/** One request with one call in it. */
function use(meter: OperatingMeter, method: string, seconds: number, nowMs: number): void {
  const request = meter.request(nowMs);
  request.add(method, seconds);
  request.end();
}

const read = (meter: OperatingMeter, method: string, nowMs: number) => meter.request(nowMs).read(method);

describe('operating time', () => {
  it('is summed for each method apart', () => {
    const meter = new OperatingMeter();
    use(meter, 'crm.item.list', 20, 0);
    use(meter, 'crm.item.list', 20, 1000);
    expect(read(meter, 'crm.item.list', 1000).operating).toBe(40);
    expect(read(meter, 'crm.item.get', 1000)).toEqual({ operating: 0, operatingResetAt: 601 });
  });

  it('is kept in baskets of a minute by the clock, each lost ten minutes after the first call in it', () => {
    const meter = new OperatingMeter();
    use(meter, 'list', 40, 20_000);
    use(meter, 'list', 2, 59_999);
    use(meter, 'list', 5, 61_000);
    expect(read(meter, 'list', 20_000 + 10 * minuteMs - 1)).toEqual({ operating: 47, operatingResetAt: 620 });
    expect(read(meter, 'list', 20_000 + 10 * minuteMs)).toEqual({ operating: 5, operatingResetAt: 661 });
    expect(read(meter, 'list', 61_000 + 10 * minuteMs).operating).toBe(0);
  });

  it('of a tenth of a second or less is not counted, unless a request has many of them', () => {
    const meter = new OperatingMeter();
    use(meter, 'list', 0.1, 0);
    expect(read(meter, 'list', 0).operating).toBe(0);
    const batch = meter.request(0);
    for (let call = 0; call < 5; call += 1) batch.add('list', 0.08);
    expect(batch.read('list').operating).toBe(0);
    batch.end();
    expect(read(meter, 'list', 0).operating).toBeCloseTo(0.4);
  });

  it('is shown within the request that uses it', () => {
    const request = new OperatingMeter().request(0);
    request.add('list', 3);
    request.add('list', 4);
    expect(request.read('list')).toEqual({ operating: 7, operatingResetAt: 600 });
  });
});
