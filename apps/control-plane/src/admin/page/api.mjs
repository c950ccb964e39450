/** The operator API, with the token of the signed-in operator. The token is only in this tab's storage. */

const tokenKey = 'OPS_TOKEN';
/** A bus with a failing broker may answer late. */
const patienceMs = 15_000;

export function isSignedIn() {
  return sessionStorage.getItem(tokenKey) !== null;
}

/** @param {string} token */
export function keepToken(token) {
  sessionStorage.setItem(tokenKey, token);
}

export function forgetToken() {
  sessionStorage.removeItem(tokenKey);
}

/** `refused`: the token is wrong. `away`: no response. `failed`: the control plane says why. */
export class ApiError extends Error {
  /** @param {'refused' | 'away' | 'failed'} kind @param {string} message */
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

/**
 * @param {string} path
 * @param {{ method?: 'GET' | 'POST', token?: string, signal?: AbortSignal | undefined }} options
 * @returns {Promise<any>} its JSON, which the control plane that served this page has made
 * @throws {ApiError}
 */
export async function ask(
  path,
  { method = 'GET', token = sessionStorage.getItem(tokenKey) ?? '', signal } = {},
) {
  const answer = await reach(path, method, headersWith(token), signal);
  if (answer.status === 401)
    throw new ApiError('refused', 'That is not the OPS_TOKEN of this control plane.');
  const body = await answer.json().catch(() => undefined);
  if (answer.ok && body !== undefined) return body;
  const said = typeof body?.error === 'string' ? body.error : `The control plane answered ${answer.status}.`;
  throw new ApiError('failed', said);
}

/** @param {string} path @param {string} method @param {Headers} headers @param {AbortSignal | undefined} signal */
async function reach(path, method, headers, signal) {
  const late = AbortSignal.timeout(patienceMs);
  try {
    return await fetch(`/ops/api${path}`, {
      method,
      headers,
      signal: signal ? AbortSignal.any([signal, late]) : late,
    });
  } catch {
    throw new ApiError('away', 'The control plane does not answer.');
  }
}

/** @param {string} token */
function headersWith(token) {
  try {
    return new Headers({ authorization: `Bearer ${token}` });
  } catch {
    // It has characters that no header allows, so it is wrong.
    throw new ApiError('refused', 'That is not the OPS_TOKEN of this control plane.');
  }
}
