import { ownerId } from './crm/cause.js';
import { contactTypeId } from './crm/object-types.js';
import { everySetting } from './fields/standard-sets.js';
import type { Portal } from './portal.js';
import type { Portals } from './portals.js';

const demoName = 'demo';
const deliveriesTypeId = 147;

const contacts = [
  { name: 'anna-maria', secondName: '', lastName: "O'NEIL" },
  { name: 'в’ячеслав', secondName: 'іванович', lastName: 'КОВАЛЬ-БОНДАР' },
  { name: 'Ludwig', secondName: '', lastName: 'van Beethoven' },
];
const deliveries = ['Desk lamps, 40 pieces', 'Standing desks, 12 pieces', 'Chairs, returned'];

/** The portal that is there from the start, with incoming webhook `rest/1/demo/`, for newcomers. */
export function addDemoPortal(portals: Portals): Portal {
  const demo = portals.add({ name: demoName });
  if (!demo) throw new Error('the portal demo is the first of all');
  const owner = { userId: ownerId };
  for (const contact of contacts) demo.crm.addItem(contactTypeId, contact, owner);
  const deliveriesType = { ...everySetting, title: 'Deliveries', code: 'deliveries' };
  demo.crm.addType(deliveriesTypeId, deliveriesType, owner);
  for (const title of deliveries) demo.crm.addItem(deliveriesTypeId, { title }, owner);
  return demo;
}
