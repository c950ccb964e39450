/**
 * The consumer under test, a real one: events of contacts merge, messages come each for itself. What a handler reads and
 * does is a word with the harness, without whose answer nothing is done.
 */
import { join } from 'node:path';
import { Controller, Module } from '@nestjs/common';
import { z } from 'zod';
import 'reflect-metadata';

/** @param {string} path below dist/ */
const built = (path) => import(join(import.meta.dirname, '../../dist', path));
const { OnPortalEvents } = await built('libs/bus/src/index.js');
const { runConsumer } = await built('libs/consumer/src/index.js');

const { LEDGER_URL: ledgerUrl, LEDGER_PROCESS: process_ } = z
  .object({ LEDGER_URL: z.url(), LEDGER_PROCESS: z.string() })
  .parse(process.env);
const patienceMs = 10_000;
const begun = z.object({ run: z.int(), fail: z.array(z.string()) });

/** By portal. @type {Map<string, number>} */
const inHand = new Map();

/**
 * @typedef {object} Batch
 * @property {string} memberId
 * @property {{ entity: string, data?: { MESSAGE?: { ID?: string } } }[]} entries
 */

class LedgerController {
  /** @param {Batch} batch */
  look({ memberId, entries }) {
    return handle(
      memberId,
      entries.map(({ entity }) => ({ entity, thing: entity })),
    );
  }

  /** @param {Batch} batch */
  hear({ memberId, entries }) {
    const heard = entries.map(({ entity, data }) => ({ entity, thing: `message ${data?.MESSAGE?.ID}` }));
    return handle(memberId, heard);
  }
}

/** @param {string} portal @param {{ entity: string, thing: string }[]} entries @returns {Promise<{ entity: string, error: Error }[]>} */
async function handle(portal, entries) {
  const others = inHand.get(portal) ?? 0;
  inHand.set(portal, others + 1);
  try {
    const things = entries.map(({ thing }) => thing);
    const { run, fail } = begun.parse(
      await tell('/began', { process: process_, portal, things, inHand: others }),
    );
    await tell('/ended', { run, failed: fail });
    const failed = entries.filter(({ thing }) => fail.includes(thing));
    if (failed.length === entries.length) throw new Error('The harness says that all of it fails');
    return failed.map(({ entity }) => ({ entity, error: new Error('The harness says that it fails') }));
  } finally {
    inHand.set(portal, (inHand.get(portal) ?? 1) - 1);
  }
}

/** @param {string} path @param {object} what @returns {Promise<unknown>} */
async function tell(path, what) {
  const answer = await fetch(`${ledgerUrl}${path}`, {
    method: 'POST',
    body: JSON.stringify(what),
    signal: AbortSignal.timeout(patienceMs),
  });
  if (!answer.ok) throw new Error(`The harness answered ${answer.status}`);
  return answer.json();
}

const { prototype } = LedgerController;
Reflect.decorate(
  [OnPortalEvents(['ONCRMCONTACTADD', 'ONCRMCONTACTUPDATE'])],
  prototype,
  'look',
  Object.getOwnPropertyDescriptor(prototype, 'look'),
);
Reflect.decorate(
  [OnPortalEvents('ONIMCONNECTORMESSAGEADD', { merge: false, maxEntries: 50 })],
  prototype,
  'hear',
  Object.getOwnPropertyDescriptor(prototype, 'hear'),
);
Reflect.decorate([Controller()], LedgerController);

function LedgerModule() {}
Reflect.decorate([Module({ controllers: [LedgerController] })], LedgerModule);

await runConsumer({ name: 'ledger', module: LedgerModule });
