/** @typedef {import('./system.mjs').Bus} Bus */

/** @param {string} name @param {string} text */
export function number(name, text) {
  const value = Number(text);
  if (text !== '' && Number.isFinite(value) && value >= 0) return value;
  throw new Error(`--${name} is a number, not ${JSON.stringify(text)}`);
}

/** @param {string | undefined} text @returns {Bus | undefined} */
export function busOf(text) {
  if (text === undefined || text === 'rabbitmq' || text === 'postgresql') return text;
  throw new Error('--bus is rabbitmq or postgresql');
}
