import { parseArgs } from 'node:util';
import { busOf, number } from '../support/options.mjs';

/** @typedef {ReturnType<typeof readOptions>} Options */

/** @param {string[]} args */
export function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      events: { type: 'string', default: '100000' },
      portals: { type: 'string', default: '200' },
      bytes: { type: 'string', default: '0' },
      seconds: { type: 'string', default: '90' },
      latency: { type: 'string', default: '50' },
      bus: { type: 'string' },
      only: { type: 'string' },
    },
  });
  return {
    events: number('events', values.events),
    portals: number('portals', values.portals),
    bytes: number('bytes', values.bytes),
    /** How long the consumer is watched at most while it works the backlog off. */
    watchMs: number('seconds', values.seconds) * 1_000,
    latencyMs: number('latency', values.latency),
    bus: busOf(values.bus),
    only: values.only,
  };
}
