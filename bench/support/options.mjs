/** @typedef {import('./system.mjs').Bus} Bus */

/** @param {string} name @param {string} text */
export function number(name, text) {
  const value = Number(text);
  if (text !== '' && Number.isFinite(value) && value >= 0) return value;
  throw new Error(`--${name} is a number, not ${JSON.stringify(text)}`);
}

/** Some of `known`, with commas between them. @param {string} name @param {string} text @param {readonly string[]} known */
export function names(name, text, known) {
  const chosen = text.split(',');
  if (chosen.every((each) => known.includes(each))) return chosen;
  throw new Error(`--${name} is some of ${known.join(',')}, not ${JSON.stringify(text)}`);
}

/** @param {string | undefined} text @returns {Bus | undefined} */
export function busOf(text) {
  if (text === undefined || text === 'rabbitmq' || text === 'postgresql') return text;
  throw new Error('--bus is rabbitmq or postgresql');
}
