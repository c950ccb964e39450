import { Refusal } from './refusal.js';

/**
 * Of a file that people edit, and merge.
 * @param {string} file @param {string} text @returns {any} @throws {Refusal}
 */
export function parseJson(file, text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(`${file} is no JSON: mend it first`);
  }
}
