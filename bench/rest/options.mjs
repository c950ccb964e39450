import { parseArgs } from 'node:util';
import { busOf, number } from '../support/options.mjs';

/** @typedef {ReturnType<typeof readOptions>} Options */

/** @param {string[]} args */
export function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      contacts: { type: 'string', default: '10000' },
      'slow-contacts': { type: 'string', default: '4000' },
      'slowest-contacts': { type: 'string', default: '60' },
      rate: { type: 'string', default: '2' },
      burst: { type: 'string', default: '50' },
      latency: { type: 'string', default: '0' },
      bus: { type: 'string' },
      only: { type: 'string' },
    },
  });
  return {
    contacts: number('contacts', values.contacts),
    slowContacts: number('slow-contacts', values['slow-contacts']),
    slowestContacts: number('slowest-contacts', values['slowest-contacts']),
    limit: { rate: number('rate', values.rate), burst: number('burst', values.burst) },
    latencyMs: number('latency', values.latency),
    bus: busOf(values.bus),
    only: values.only,
  };
}
