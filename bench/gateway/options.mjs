import { parseArgs } from 'node:util';
import { busOf, number } from '../support/options.mjs';

/** @typedef {ReturnType<typeof readOptions>} Options */

/** More in flight measures the queue in front of the server, more requests only take longer. */
const MAX_CONNECTIONS = 512;
const MAX_REQUESTS = 200_000;

/** @param {string[]} args */
export function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '7' },
      requests: { type: 'string', default: '10000' },
      connections: { type: 'string', default: '64' },
      portals: { type: 'string', default: '16' },
      bus: { type: 'string' },
      only: { type: 'string' },
    },
  });
  return {
    rounds: number('rounds', values.rounds),
    /** Of one server in one round. */
    requests: Math.min(number('requests', values.requests), MAX_REQUESTS),
    connections: Math.min(number('connections', values.connections), MAX_CONNECTIONS),
    portals: number('portals', values.portals),
    bus: busOf(values.bus),
    /** The gateway and this server alone. */
    only: values.only,
  };
}
