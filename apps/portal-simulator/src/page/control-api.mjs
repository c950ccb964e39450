/** The simulator's control interface, as far as the page needs it. */

/** @typedef {import('../page-routes.js').PageView} PageView */
/** @typedef {import('../page-routes.js').Row} Row */
/** @typedef {import('../page-routes.js').Table} Table */

/**
 * @param {string} portal
 * @param {string} action
 * @param {object} body
 * @returns {Promise<{ status?: number | string | null }>}
 */
export async function control(portal, action, body) {
  const answer = await fetch(`/_sim/portals/${encodeURIComponent(portal)}/${action}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const result = await answer.json();
  if (!answer.ok) throw new Error(result.error_description ?? result.error);
  return result;
}

/** @returns {Promise<string[]>} the names of all portals */
export async function portalNames() {
  /** @type {{ name: string }[]} */
  const portals = await (await fetch('/_sim/portals')).json();
  return portals.map(({ name }) => name);
}

/**
 * Watches one portal until the returned function is called. A new connection begins with all there is to see, so
 * nothing has to be made up for after a break.
 *
 * @param {string} portal
 * @param {{ seen: (view: PageView) => void, connected: (is: boolean) => void, gone: () => void }} to
 * @returns {() => void}
 */
export function watch(portal, { seen, connected, gone }) {
  const source = new EventSource(`/_sim/portals/${encodeURIComponent(portal)}/changes`);
  source.addEventListener('open', () => connected(true));
  source.addEventListener('error', () => connected(false));
  source.addEventListener('message', ({ data }) => seen(JSON.parse(data)));
  source.addEventListener('gone', () => {
    source.close();
    gone();
  });
  return () => source.close();
}
