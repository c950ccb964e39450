import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import leven from 'leven';
import { z } from 'zod';
import { importTypeScript } from './import-typescript.js';
import { Rejection } from './rejection.js';

/** A suggestion that differs in more than this is none. */
const MAX_DISTANCE = 6;
const MAX_LENGTH = 100;
/** The events of the items of smart processes, which a portal offers for each of them, too. */
const SUFFIXABLE = /^ONCRMDYNAMICITEM(ADD|UPDATE|DELETE)$/;

/**
 * What `libs/events` knows: the events that name a thing, and every event of the documentation.
 * @typedef {object} KnownEvents
 * @property {ReadonlySet<string>} names
 * @property {(name: string) => boolean} namesEntity whether events of this name can be merged
 */

const families = z.object({ FAMILIES: z.array(z.object({ names: z.array(z.string()) })) });
const sample = z.object({ body: z.object({ event: z.string().optional() }) });

/** @param {string} root of the repository @returns {Promise<KnownEvents>} */
export async function knownEvents(root) {
  const lib = join(root, 'libs/events/src');
  const { FAMILIES } = families.parse(await importTypeScript(join(lib, 'entity.ts')));
  const named = new Set(FAMILIES.flatMap(({ names }) => names));
  const documented = ['events.jsonl', 'excerpts.jsonl'].flatMap((file) =>
    eventsIn(join(lib, 'samples', file)),
  );
  return { names: new Set([...named, ...documented]), namesEntity: (name) => named.has(name) };
}

/** @param {string} file */
function eventsIn(file) {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.flatMap((line) => {
    const { event } = sample.parse(JSON.parse(line)).body;
    return event === undefined ? [] : [event.toUpperCase().replace(/_\d+$/, '')];
  });
}

/**
 * @param {string} list comma list as typed
 * @param {KnownEvents} known
 * @returns {string[]} each once, in upper case
 * @throws {Rejection} for the first that is not known, with the nearest that is
 */
export function parseEvents(list, known) {
  const names = list
    .split(',')
    .map((name) => name.trim().toUpperCase())
    .filter((name) => name !== '');
  for (const name of names) requireKnown(name, known);
  return [...new Set(names)];
}

/** @param {string} name @param {KnownEvents} known */
function requireKnown(name, known) {
  if (known.names.has(name)) return;
  const [, base = '', suffix] = /^(.+)_(\d+)$/.exec(name) ?? [];
  if (suffix !== undefined && SUFFIXABLE.test(base) && /^[1-9]\d{0,9}$/.test(suffix)) return;
  if (suffix !== undefined && known.names.has(base))
    throw new Rejection(`${printable(name)} is no event of Bitrix24: ${base} has no suffix`);
  throw new Rejection(`${printable(name)} is no event of Bitrix24 that is known here${guess(name, known)}`);
}

/** @param {string} name @param {KnownEvents} known */
function guess(name, known) {
  let nearest = { name: '', distance: MAX_DISTANCE + 1 };
  for (const each of known.names) {
    const distance = leven(name.slice(0, MAX_LENGTH), each);
    if (distance < nearest.distance) nearest = { name: each, distance };
  }
  return nearest.name === ''
    ? '; libs/events/src/samples/events.jsonl has all of them'
    : `: did you mean ${nearest.name}?`;
}

/** @param {string} text */
function printable(text) {
  return JSON.stringify(text.slice(0, MAX_LENGTH)).slice(1, -1);
}
