import { Rejection } from './rejection.js';

const MAX_LENGTH = 40;

/**
 * The rule of `libs/bus`, and of names of classes that are made of it.
 * @param {string | undefined} name @returns {string} @throws {Rejection}
 */
export function parseConsumerName(name) {
  if (!name) throw new Rejection('the name of the consumer is missing');
  if (/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name) && name.length <= MAX_LENGTH) return name;
  const better = name
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '')
    .slice(0, MAX_LENGTH)
    .replace(/-+$/, '');
  throw new Rejection(
    `a consumer's name has lower-case letters, digits and single hyphens, up to ${MAX_LENGTH} characters${better ? `: ${better}` : ''}`,
  );
}
