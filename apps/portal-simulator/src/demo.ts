import { OWNER_ID } from './crm/actor.js';
import { CONTACT_TYPE_ID } from './crm/object-types.js';
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
