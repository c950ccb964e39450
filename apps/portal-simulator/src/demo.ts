import { setTimeout as wait } from 'node:timers/promises';
import type { Log } from '@relay/platform';
import { CONTACT_TYPE_ID } from './crm/object-types.js';
import { OWNER_ID } from './crm/users.js';
import { everySetting } from './fields/standard-sets.js';
import type { Portal } from './portal/portal.js';
import type { Portals } from './portal/portals.js';

const DEMO_NAME = 'demo';
const DELIVERIES_TYPE_ID = 147;

const CONTACTS = [
  { name: 'anna-maria', secondName: '', lastName: "O'NEIL" },
  { name: 'в’ячеслав', secondName: 'іванович', lastName: 'КОВАЛЬ-БОНДАР' },
  { name: 'Ludwig', secondName: '', lastName: 'van Beethoven' },
];
const DELIVERIES = ['Desk lamps, 40 pieces', 'Standing desks, 12 pieces', 'Chairs, returned'];

/** The portal that is there from the start, with incoming webhook `rest/1/demo/`, for newcomers. */
export function addDemoPortal(portals: Portals): Portal {
  const demo = portals.add({ name: DEMO_NAME });
  if (!demo) throw new Error('the portal demo is the first of all');
  const owner = { userId: OWNER_ID };
  for (const contact of CONTACTS) demo.crm.addItem(CONTACT_TYPE_ID, contact, owner);
  const deliveriesType = { ...everySetting, title: 'Deliveries', code: 'deliveries' };
  demo.crm.addType(DELIVERIES_TYPE_ID, deliveriesType, owner);
  for (const title of DELIVERIES) demo.crm.addItem(DELIVERIES_TYPE_ID, { title }, owner);
  return demo;
}

const RETRY_MS = 1000;

/**
 * Installs the application into the portal `demo` when the simulator starts, and again until the address answers 200: whoever
 * starts both at once need not know which is up first. Responsible for nothing once that is done.
 */
export class DemoInstaller {
  private readonly stopping = new AbortController();
  private done = false;

  /** @param install tells of one new installation; resolves with how it was answered */
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
      this.log.warn({ answer }, 'the application is not installed in the portal demo yet');
      await wait(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  stop(): void {
    this.stopping.abort();
  }
}
