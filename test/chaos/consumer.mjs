/**
 * The consumer under test, a real one: contact events merge, message events do not. Its handlers read from and report
 * to the harness, and nothing counts as done without its answer.
 */
import { join } from 'node:path';
import { Controller, Inject, Module } from '@nestjs/common';
import { z } from 'zod';
import 'reflect-metadata';

/** The build of the next version after a rollback. */
const dist = process.env['CHAOS_DIST'] ?? join(import.meta.dirname, '../../dist');
/** @param {string} path below dist/ */
const built = (path) => import(join(dist, path));
const { OnPortalEvents, runConsumer } = await built('libs/consumer/src/index.js');
const { PortalClients } = await built('libs/portals/src/index.js');

const {
  LEDGER_URL: ledgerUrl,
  LEDGER_PROCESS: process_,
  HOSTILE_PORTALS: hostileList,
} = z
  .object({ LEDGER_URL: z.url(), LEDGER_PROCESS: z.string(), HOSTILE_PORTALS: z.string() })
  .parse(process.env);
const hostile = new Set(hostileList.split(','));
/** Timeout for a portal that never answers; a stopping process waits for it. */
const hostileTimeoutMs = 5_000;
const timeoutMs = 10_000;
const begun = z.object({ run: z.int(), fail: z.array(z.string()) });

/** By portal. @type {Map<string, number>} */
const inFlight = new Map();

/**
 * @typedef {object} Batch
 * @property {string} memberId
 * @property {{ entity: string, data?: { MESSAGE?: { ID?: string } } }[]} entries
 */

class LedgerController {
  /** @param {{ for: (memberId: string) => { call: (method: string, params: object, options: object) => Promise<unknown> } }} portals */
  constructor(portals) {
    this.portals = portals;
  }

  /** @param {Batch} batch */
  async look({ memberId, entries }) {
    await this.#callHostile(memberId);
    return handle(
      memberId,
      entries.map(({ entity }) => ({ entity, thing: entity })),
    );
  }

  /** @param {Batch} batch */
  async hear({ memberId, entries }) {
    await this.#callHostile(memberId);
    const heard = entries.map(({ entity, data }) => ({ entity, thing: `message ${data?.MESSAGE?.ID}` }));
    return handle(memberId, heard);
  }

  /**
   * Must cost neither the process nor the other portals anything; the failure itself does not matter.
   * @param {string} memberId
   */
  async #callHostile(memberId) {
    if (!hostile.has(memberId)) return;
    const signal = AbortSignal.timeout(hostileTimeoutMs);
    await this.portals
      .for(memberId)
      .call('crm.contact.list', {}, { signal })
      .catch(() => undefined);
  }
}

/** @param {string} portal @param {{ entity: string, thing: string }[]} entries @returns {Promise<{ entity: string, error: Error }[]>} */
async function handle(portal, entries) {
  const others = inFlight.get(portal) ?? 0;
  inFlight.set(portal, others + 1);
  try {
    const things = entries.map(({ thing }) => thing);
    const { run, fail } = begun.parse(
      await tell('/began', { process: process_, portal, things, inFlight: others }),
    );
    await tell('/ended', { run, failed: fail });
    const failed = entries.filter(({ thing }) => fail.includes(thing));
    if (failed.length === entries.length) throw new Error('The harness says that all of it fails');
    return failed.map(({ entity }) => ({ entity, error: new Error('The harness says that it fails') }));
  } finally {
    inFlight.set(portal, (inFlight.get(portal) ?? 1) - 1);
  }
}

/** @param {string} path @param {object} what @returns {Promise<unknown>} */
async function tell(path, what) {
  const answer = await fetch(`${ledgerUrl}${path}`, {
    method: 'POST',
    body: JSON.stringify(what),
    signal: AbortSignal.timeout(timeoutMs),
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
Inject(PortalClients)(LedgerController, undefined, 0);

function LedgerModule() {}
Reflect.decorate([Module({ controllers: [LedgerController] })], LedgerModule);

await runConsumer({ name: 'ledger', module: LedgerModule });
