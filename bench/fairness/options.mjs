import { parseArgs } from 'node:util';
import { busOf, number } from '../support/options.mjs';

/** @typedef {ReturnType<typeof readOptions>} Options */

/** @param {string[]} args */
export function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      portals: { type: 'string', default: '500' },
      flood: { type: 'string', default: '10000' },
      floods: { type: 'string', default: '1' },
      rounds: { type: 'string', default: '3' },
      rate: { type: 'string', default: '500' },
      over: { type: 'string', default: '30' },
      timeout: { type: 'string', default: '60' },
      latency: { type: 'string', default: '50' },
      update: { type: 'string', default: '116' },
      behind: { type: 'boolean', default: false },
      'shard-mates': { type: 'boolean', default: false },
      bus: { type: 'string' },
    },
  });
  return {
    portals: number('portals', values.portals),
    /** Contacts that change at once at a flooded portal. */
    flood: number('flood', values.flood),
    /** Flooded portals. */
    floods: number('floods', values.floods),
    rounds: number('rounds', values.rounds),
    /** Events of the flood a second. */
    rate: number('rate', values.rate),
    overMs: number('over', values.over) * 1_000,
    timeoutMs: number('timeout', values.timeout) * 1_000,
    latencyMs: number('latency', values.latency),
    /** How long each update takes a flooded portal. */
    updateMs: number('update', values.update),
    isBehind: values.behind,
    areShardMates: values['shard-mates'],
    bus: busOf(values.bus),
  };
}
