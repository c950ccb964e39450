import { parseArgs } from 'node:util';

/** @typedef {import('../support/system.mjs').Bus} Bus */
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

/** @param {string} name @param {string} text */
function number(name, text) {
  const value = Number(text);
  if (text !== '' && Number.isFinite(value) && value >= 0) return value;
  throw new Error(`--${name} is a number, not ${JSON.stringify(text)}`);
}

/** @param {string | undefined} text @returns {Bus | undefined} */
function busOf(text) {
  if (text === undefined || text === 'rabbitmq' || text === 'postgresql') return text;
  throw new Error('--bus is rabbitmq or postgresql');
}
