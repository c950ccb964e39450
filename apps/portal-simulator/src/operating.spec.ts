import { describe, expect, it } from '@jest/globals';
import { OperatingMeter } from './operating.js';

const minuteMs = 60_000;

describe('operating time', () => {
  it('is summed for each method apart', () => {
    const meter = new OperatingMeter();
    meter.add('crm.item.list', 20, 0);
    expect(meter.add('crm.item.list', 20, 1000).operating).toBe(40);
    expect(meter.read('crm.item.get', 1000)).toEqual({ operating: 0 });
  });

  it('loses a one-minute basket ten minutes after the first call in it', () => {
    const meter = new OperatingMeter();
    meter.add('list', 40, 20_000);
    meter.add('list', 5, 20_000 + minuteMs);
    expect(meter.read('list', 20_000 + 10 * minuteMs - 1)).toEqual({ operating: 45, operatingResetAt: 620 });
    expect(meter.read('list', 20_000 + 10 * minuteMs)).toEqual({ operating: 5, operatingResetAt: 680 });
  });
});
