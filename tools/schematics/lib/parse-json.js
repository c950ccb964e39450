import { Rejection } from './rejection.js';

/**
 * Of a file that people edit, and merge.
 * @param {string} file @param {string} text @returns {any} @throws {Rejection}
 */
export function parseJson(file, text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Rejection(`${file} is no JSON: mend it first`);
  }
}
