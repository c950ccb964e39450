/** Chooses the portal, reads its stream and shows each part of it. */
import { connectAddForm } from './add-contact.mjs';
import { control, portalNames, watch } from './control-api.mjs';
import { byId, element, setText } from './dom.mjs';
import { EditableTable } from './editable-table.mjs';
import { showInstallNotice } from './install-notice.mjs';
import { showStats } from './portal-stats.mjs';

/** @typedef {import('./control-api.mjs').PageView} PageView */

const choice = byId('portal', HTMLSelectElement);
const connection = byId('connection', HTMLParagraphElement);
const CONTACT_COLUMNS = { name: 'Name', secondName: 'Second name', lastName: 'Last name' };
const ITEM_COLUMNS = { title: 'Title' };

let portal = '';
let stopWatching = () => {};
/** @type {Map<number, EditableTable>} */
const tables = new Map();

choice.addEventListener('change', () => {
  location.hash = choice.value;
});
addEventListener('hashchange', () => void choose());
// A browser opens at most six connections to a host: hidden pages must not use them up.
document.addEventListener('visibilitychange', () => {
  if (document.hidden) stopWatching();
  else follow();
});
connectAddForm((fields) => control(portal, 'items/3', { fields }));
await choose();

/** The portal named in the address, else the first. */
async function choose() {
  const names = await portalNames();
  const wanted = decodeURIComponent(location.hash.slice(1));
  portal = names.includes(wanted) ? wanted : (names[0] ?? '');
  for (const table of tables.values()) table.remove();
  tables.clear();
  follow();
}

function follow() {
  stopWatching();
  if (portal === '') return;
  stopWatching = watch(portal, {
    seen: show,
    connected: (is) => {
      connection.dataset['state'] = is ? 'live' : 'waiting';
      setText(byId('connection-text', HTMLSpanElement), is ? 'live' : 'reconnecting');
    },
    gone: () => void choose(),
  });
}

/** @param {PageView} view */
function show(view) {
  // The portal may have been renamed.
  portal = view.portal;
  setText(byId('portal-name', HTMLElement), portal);
  showChoice(view.portals);
  showInstallNotice(view, (url) => control(portal, 'install', { url }));
  showTable(view.contacts, CONTACT_COLUMNS, byId('contacts', HTMLDivElement));
  for (const process of view.processes) showTable(process, ITEM_COLUMNS, byId('processes', HTMLDivElement));
  for (const [entityTypeId, table] of tables) {
    if (entityTypeId === view.contacts.entityTypeId) continue;
    if (view.processes.some((process) => process.entityTypeId === entityTypeId)) continue;
    table.remove();
    tables.delete(entityTypeId);
  }
  showStats(view);
}

/** @param {string[]} names */
function showChoice(names) {
  byId('portal-choice', HTMLLabelElement).hidden = names.length < 2;
  const shown = [...choice.options].map(({ value }) => value);
  if (shown.join(' ') !== names.join(' ')) {
    choice.replaceChildren(...names.map((name) => element('option', { value: name }, name)));
  }
  choice.value = portal;
}

/**
 * @param {import('./control-api.mjs').Table} seen
 * @param {Record<string, string>} columns
 * @param {HTMLElement} where
 */
function showTable(seen, columns, where) {
  let table = tables.get(seen.entityTypeId);
  if (!table) {
    const hint =
      seen.entityTypeId === 3
        ? 'Change a name and press Enter. One that is well written stays as it is.'
        : `Smart process ${seen.entityTypeId}. smart-process-sync keeps a copy of it for SQL.`;
    table = new EditableTable(columns, hint, (id, fields) =>
      control(portal, `items/${seen.entityTypeId}`, { id, fields }),
    );
    tables.set(seen.entityTypeId, table);
    where.append(table.element);
  }
  table.show(seen);
}
