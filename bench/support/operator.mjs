/**
 * As an operator tells of a portal's plan.
 * @param {import('./system.mjs').System['operator']} operator
 * @param {string} memberId
 * @param {import('../rest/lower-bound.mjs').Limit} limit
 */
export async function setLimit({ url, token }, memberId, limit) {
  const answer = await fetch(`${url}/ops/api/portals/${memberId}/limit`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ limit }),
  });
  if (!answer.ok) throw new Error(`the limit was rejected: ${answer.status} ${await answer.text()}`);
}

/**
 * As an operator chooses how events of a portal arrive.
 * @param {import('./system.mjs').System['operator']} operator
 * @param {string} memberId
 * @param {'online' | 'offline' | 'both'} mode
 */
export async function setMode({ url, token }, memberId, mode) {
  const answer = await fetch(`${url}/ops/api/portals/${memberId}/mode`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ mode }),
  });
  if (!answer.ok) throw new Error(`the mode was rejected: ${answer.status} ${await answer.text()}`);
}

/**
 * As an operator registers a portal without an application.
 * @param {import('./system.mjs').System['operator']} operator
 * @param {{ webhookUrl: string, applicationToken: string }} pair
 */
export async function addWebhookPair({ url, token }, pair) {
  const answer = await fetch(`${url}/ops/api/portals/webhook`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(pair),
  });
  if (!answer.ok) throw new Error(`the webhooks were rejected: ${answer.status} ${await answer.text()}`);
}
