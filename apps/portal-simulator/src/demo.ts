import { contactTypeId, ownerId, type Portal } from './portal.js';
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
  for (const contact of contacts) demo.addItem(contactTypeId, contact, owner);
  demo.addType(deliveriesTypeId, { title: 'Deliveries', code: 'deliveries' }, owner);
  for (const title of deliveries) demo.addItem(deliveriesTypeId, { title }, owner);
  return demo;
}
