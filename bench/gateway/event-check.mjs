/**
 * The work of the gateway for one event, without the gateway: decode, authenticate, encode. The decoder and the encoder
 * are the ones of `libs/events`, so that the benchmark compares what is around them.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';

const dist = join(import.meta.dirname, '../../dist/libs');
/** @type {typeof import('../../libs/events/src/index.js')} */
const { decodeForm, encodeMessage, openEvent, parseEnvelope } = await import(
  join(dist, 'events/src/index.js')
);
/** @type {typeof import('../../libs/bus/src/contract/shard.js')} */
const { shardOf } = await import(join(dist, 'bus/src/contract/shard.js'));

/** @typedef {import('../../libs/events/src/index.js').FormTree} FormTree */
/** @typedef {{ id: string, name: string, entityTypeId: number, shard: number, content: Buffer }} Message */

export class UnauthorizedError extends Error {}

/** @param {Uint8Array} body */
export function treeOfBody(body) {
  return decodeForm(body);
}

/**
 * A form whose names are decoded but not nested, as `fast-querystring` leaves it.
 * @param {Record<string, string>} form
 */
export function treeOfNames(form) {
  /** @type {FormTree} */
  const root = {};
  for (const [name, value] of Object.entries(form)) {
    const [first = '', ...rest] = name.split('[');
    let tree = root;
    let key = first;
    for (const part of rest) {
      const child = tree[key];
      tree = typeof child === 'object' ? child : (tree[key] = {});
      key = part.slice(0, -1);
    }
    tree[key] = value;
  }
  return root;
}

/**
 * @param {ReadonlyMap<string, Buffer>} tokenHashes by member_id
 * @param {FormTree} form
 * @returns {Message}
 */
export function messageOf(tokenHashes, form) {
  const envelope = parseEnvelope(form);
  const known = tokenHashes.get(envelope.memberId);
  const hash = createHash('sha256').update(envelope.credentials.applicationToken).digest();
  if (known === undefined || !timingSafeEqual(known, hash)) throw new UnauthorizedError();
  const event = openEvent(form, envelope, Date.now());
  const { id, name, entityTypeId, memberId } = event;
  return { id, name, entityTypeId, shard: shardOf(memberId), content: encodeMessage(event) };
}
