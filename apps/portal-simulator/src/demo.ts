import { randomInt } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { Log } from '@relay/platform';
import { OWNER_ID } from './crm/users.js';
import { ALL_SETTINGS, CONTACT_TYPE_ID, DEAL_TYPE_ID } from './fields/standard-sets.js';
import type { Portal } from './portal/portal.js';
import type { Portals } from './portal/portals.js';

const DEMO_NAME = 'demo';
const DELIVERIES_TYPE_ID = 147;

const CONTACTS = [
  { name: 'anna-maria', secondName: '', lastName: "O'NEIL" },
  { name: 'в’ячеслав', secondName: 'іванович', lastName: 'КОВАЛЬ-БОНДАР' },
  { name: 'Ludwig', secondName: '', lastName: 'van Beethoven' },
];
const DEALS = [
  { title: 'Desk lamps for the office', opportunity: 1200, stageId: 'NEW' },
  { title: 'Forty standing desks', opportunity: 15_600, stageId: 'PREPARATION' },
];
const DELIVERIES = ['Desk lamps, 40 pieces', 'Standing desks, 12 pieces', 'Chairs, returned'];

/**
 * The portal that exists from the start, with the incoming webhook `rest/1/demo/`.
 * @param idsAfter its contacts and items get higher ids
 * @param scope of its application, if not the default
 */
export function addDemoPortal(portals: Portals, idsAfter: number, scope?: string[]): Portal {
  const demo = portals.add({ name: DEMO_NAME, settings: scope && { scope } });
  if (!demo) throw new Error('the portal demo must be the first portal');
  const owner = { userId: OWNER_ID };
  demo.crm.objects.items(CONTACT_TYPE_ID).skipIds(idsAfter);
  for (const contact of CONTACTS) demo.crm.addItem(CONTACT_TYPE_ID, contact, owner);
  demo.crm.objects.items(DEAL_TYPE_ID).skipIds(idsAfter);
  for (const deal of DEALS) demo.crm.addItem(DEAL_TYPE_ID, deal, owner);
  const deliveriesType = { ...ALL_SETTINGS, title: 'Deliveries', code: 'deliveries' };
  demo.crm.addType(DELIVERIES_TYPE_ID, deliveriesType, owner);
  demo.crm.objects.items(DELIVERIES_TYPE_ID).skipIds(idsAfter);
  for (const title of DELIVERIES) demo.crm.addItem(DELIVERIES_TYPE_ID, { title }, owner);
  return demo;
}

/**
 * For `idsAfter` of a process of its own: Bitrix24 gives no id twice, and whoever has seen this portal before its restart
 * (the mirror, the corrected names) may rely on that.
 */
export function unusedIds(): number {
  return randomInt(1, 100_000) * 10_000;
}

const RETRY_INTERVAL_MS = 1000;

/**
 * Installs the application in the portal `demo` at start, and tries again until the address answers 200, so simulator
 * and gateway can start in any order.
 */
export class DemoInstaller {
  private readonly stopping = new AbortController();
  private done = false;

  /** @param install makes one installation and resolves with the result of its request */
  constructor(
    private readonly install: () => Promise<string | undefined>,
    private readonly log: Log,
  ) {}

  get isDone(): boolean {
    return this.done;
  }

  async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      const answer = await this.install();
      if (answer === '200') {
        this.done = true;
        this.log.info({}, 'the application is installed in the portal demo');
        return;
      }
      this.log.warn(
        { event: 'simulator.demo_install.failed', answer },
        'the application is not installed in the portal demo yet, trying again',
      );
      await wait(RETRY_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  stop(): void {
    this.stopping.abort();
  }
}
