/** The part of the simulator's control API that the page uses. */

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
 * Watches one portal until the returned function is called. A new connection starts with the complete content, so
 * nothing is missed after a reconnect.
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
