import { DemoFailure } from './failure.mjs';
import { fullName, isNamed, tenContacts } from './names.mjs';
import { duration } from './screen.mjs';
import { contactTypeId } from './simulator.mjs';
import { poll } from './wait.mjs';

/** @typedef {import('./names.mjs').OddName} OddName */

/** Each has to be right by then, three retries included. */
const timeoutMs = 90_000;

/**
 * @param {import('./simulator.mjs').Simulator} simulator
 * @param {import('./screen.mjs').Screen} screen
 * @returns {Promise<import('./cost.mjs').Work>}
 */
export async function addTenContacts(simulator, screen) {
  screen.heading(
    '1. Ten contacts',
    'Added through the portal’s incoming webhook, as any program would; the portal tells of each, and its name is put right.',
  );
  await Promise.all(tenContacts.map((contact) => addContact(simulator, screen, contact)));
  const { length } = tenContacts;
  return { title: 'Ten contacts', reads: [length], writes: length };
}

/** @param {import('./simulator.mjs').Simulator} simulator @param {import('./screen.mjs').Screen} screen @param {OddName} contact */
async function addContact(simulator, screen, { before, after }) {
  const params = { entityTypeId: contactTypeId, fields: before };
  const { item } = await simulator.call('crm.item.add', params);
  const startMs = performance.now();
  const isRight = async () => {
    const { items } = await simulator.items(contactTypeId, { after: item.id - 1, limit: 1 });
    return items.some((found) => found.id === item.id && isNamed(found, after)) || undefined;
  };
  const { signal } = simulator;
  if (!(await poll(isRight, { everyMs: 25, timeoutMs, signal }))) {
    throw new DemoFailure(
      `Contact ${item.id} is still ${fullName(before)}: is the name-formatter at work? Its log says.`,
    );
  }
  screen.change(fullName(before), fullName(after), duration(performance.now() - startMs));
}

/** @param {import('./screen.mjs').Screen} screen */
export function showTenContacts(screen) {
  screen.heading('Before and after', 'The ten contacts; letters and spaces changed, nothing else.');
  screen.table(
    ['language', 'before', 'after'],
    tenContacts.map(({ language, before, after }) => [language, fullName(before), fullName(after)]),
  );
}
