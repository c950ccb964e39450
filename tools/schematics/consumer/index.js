import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { strings } from '@angular-devkit/core';
import { apply, applyTemplates, chain, mergeWith, move, url } from '@angular-devkit/schematics';
import { parseConsumerName } from '../lib/consumer-name.js';
import { parseEntity } from '../lib/entities.js';
import { knownEvents, parseEvents } from '../lib/events.js';
import { formatted } from '../lib/formatted.js';
import { Rejection } from '../lib/rejection.js';
import { projectsOf, REGISTRATIONS, servicesOf } from '../lib/registrations.js';

/**
 * @typedef {object} Options
 * @property {string} [name]
 * @property {string} [events]
 * @property {string} [entity]
 * @property {boolean} [migration] with a table of its own
 * @property {string} [example] a folder of `examples/`, which it becomes
 * @property {string} [path] the events, of `nest g`
 * @property {string} [type] the entity, of `nest g`
 *
 * @typedef {import('@angular-devkit/schematics').Tree} Tree
 */

/**
 * Makes an app of its own, and its entries. Rejects before anything is written.
 * @param {Options} options @returns {import('@angular-devkit/schematics').Rule}
 */
export function consumer({
  name: given,
  events: list,
  entity: thing,
  migration = false,
  example,
  path,
  type,
}) {
  return async (tree) => {
    if (example !== undefined) {
      if (given !== undefined || list !== undefined || thing !== undefined || migration)
        throw new Rejection('an example has its name and its events: give --example alone');
      return copyOf(tree, example);
    }
    const name = parseConsumerName(given);
    requireFree(tree, name);
    const schema = name.replaceAll('-', '_');
    if (migration) requireFreeSchema(tree, schema);
    const named = thing ?? type;
    const entity = named === undefined ? undefined : parseEntity(named);
    const known = await knownEvents(process.cwd());
    const events = parseEvents(list ?? path ?? '', known);
    if (events.length === 0 && entity) events.push(...entity.events);
    if (events.length === 0)
      throw new Rejection('say which events it handles, such as --events ONCRMDEALADD,ONCRMDEALUPDATE');
    const foreign = entity && events.find((event) => !entity.own.test(event));
    if (foreign)
      throw new Rejection(`${foreign} is no event of the entity ${named}: leave out one of the two`);

    const merge = events.every((event) => known.namesEntity(event.replace(/_\d+$/, '')));
    const table = { migration, schema, timestamp: String(Date.now()) };
    const words = { ...strings, name, events, entity, merge, ...table, ...(entity && kitWords(entity)) };
    /** @param {string} folder */
    const filesOf = (folder) =>
      mergeWith(apply(url(`./files/${folder}`), [applyTemplates(words), move(`apps/${name}`)]));
    const kinds = ['every', entity ? 'entity' : 'plain', ...(migration ? ['migration'] : [])];
    return chain([...kinds.map(filesOf), registered(name, events)]);
  };
}

/** Enters the app, and formats all that was changed. @param {string} name @param {readonly string[]} events */
function registered(name, events) {
  return chain([
    (tree) => {
      for (const { file, add } of REGISTRATIONS) tree.overwrite(file, add(tree.readText(file), name, events));
    },
    formatted(
      (file) => file.startsWith(`/apps/${name}/`) || REGISTRATIONS.some((each) => file === `/${each.file}`),
    ),
  ]);
}

/**
 * Makes an example an app: its files as they are. Its README stays where it is.
 * @param {Tree} tree @param {string} example
 */
function copyOf(tree, example) {
  const examples = tree.getDir('examples').subdirs;
  const name = examples.find((each) => each === example);
  if (name === undefined) throw new Rejection(`--example is one of ${examples.join(', ')}`);
  requireFree(tree, name);
  const from = `/examples/${name}/`;
  /** @type {Set<string>} */
  const events = new Set();
  tree.getDir(from).visit((path) => {
    if (path.endsWith('/README.md')) return;
    const text = tree.readText(path);
    tree.create(`/apps/${name}/${path.slice(from.length)}`, text);
    if (!path.endsWith('.spec.ts'))
      for (const [, event = ''] of text.matchAll(/'(ON[A-Z0-9_]+)'/g)) events.add(event);
  });
  return registered(name, [...events]);
}

/**
 * How the kit of specs (`libs/testing`) calls an object type, and the contents of a portal that has some of it.
 * @param {import('../lib/entities.js').Entity} entity
 */
function kitWords({ entityTypeId, one, many }) {
  const isProcess = one === 'item';
  return {
    type: isProcess ? String(entityTypeId) : `'${one}'`,
    /** @param {string} items */
    contents: (items) => (isProcess ? `items: { ${entityTypeId}: [${items}] }` : `${many}: [${items}]`),
  };
}

/**
 * Of a lib or of another app: its migration would fail.
 * @param {Tree} tree @param {string} schema @throws {Rejection}
 */
function requireFreeSchema(tree, schema) {
  const taken = new Map([
    ['public', 'PostgreSQL'],
    ['information_schema', 'PostgreSQL'],
  ]);
  for (const folder of ['libs', 'apps'])
    tree.getDir(folder).visit((path) => {
      if (!/\/src\/(.+\/)?migrations\/[^/]+\.ts$/.test(path)) return;
      for (const [, made = ''] of tree.readText(path).matchAll(/CREATE SCHEMA (?:IF NOT EXISTS )?"?(\w+)/g))
        taken.set(made, path.slice(1));
    });
  const owner = schema.startsWith('pg_') ? 'PostgreSQL' : taken.get(schema);
  if (owner) throw new Rejection(`the schema ${schema} is taken by ${owner}: choose another name`);
}

/** @param {Tree} tree @param {string} name @throws {Rejection} */
function requireFree(tree, name) {
  for (const { file } of REGISTRATIONS)
    if (!tree.exists(file))
      throw new Rejection(`there is no ${file} here: run it in the folder of b24-relay`);
  // An empty folder counts, too, and a link that leads nowhere: it is somebody's.
  if (lstatSync(join(process.cwd(), 'apps', name), { throwIfNoEntry: false }))
    throw new Rejection(`apps/${name} is there already: choose another name, or remove it first`);
  if (projectsOf(tree.readText('nest-cli.json')).includes(name))
    throw new Rejection(`${name} is taken by an app or lib of nest-cli.json: choose another name`);
  if (servicesOf(tree.readText('docker-compose.yml')).includes(name))
    throw new Rejection(`${name} is taken by a service of docker-compose.yml: choose another name`);
}
