/** The operator API, with the token of the signed-in operator. The token is only in this tab's storage. */

const TOKEN_KEY = 'OPS_TOKEN';
/** A bus with a failing broker may answer late. */
const TIMEOUT_MS = 15_000;

export function isSignedIn() {
  return sessionStorage.getItem(TOKEN_KEY) !== null;
}

/** @param {string} token */
export function keepToken(token) {
  sessionStorage.setItem(TOKEN_KEY, token);
}

export function forgetToken() {
  sessionStorage.removeItem(TOKEN_KEY);
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
export async function callApi(
  path,
  { method = 'GET', token = sessionStorage.getItem(TOKEN_KEY) ?? '', signal } = {},
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
  const late = AbortSignal.timeout(TIMEOUT_MS);
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

const POLL_INTERVAL_MS = 2_000;
/** A slow resource, such as a list of thousands of portals over a slow line, is polled less often. */
const REST_FACTOR = 5;

/** Polls one resource as long as the page is visible. */
export class Poll {
  #path;
  #to;
  /** @type {AbortController | undefined} */
  #running;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {string} path
   * @param {{ answered: (answer: any) => void, failed: (error: unknown) => void }} to
   */
  constructor(path, to) {
    this.#path = path;
    this.#to = to;
  }

  start() {
    if (this.#running) return;
    this.#running = new AbortController();
    void this.#round(this.#running.signal);
  }

  stop() {
    this.#running?.abort();
    this.#running = undefined;
    clearTimeout(this.#timer);
  }

  /** Instead of at the next poll. */
  now() {
    if (!this.#running) return;
    this.stop();
    this.start();
  }

  /** @param {AbortSignal} signal */
  async #round(signal) {
    const startedAt = performance.now();
    try {
      const answer = await callApi(this.#path, { signal });
      if (signal.aborted) return;
      this.#to.answered(answer);
    } catch (error) {
      if (signal.aborted) return;
      this.#to.failed(error);
      if (error instanceof ApiError && error.kind === 'refused') return;
    }
    const restMs = Math.max(POLL_INTERVAL_MS, REST_FACTOR * (performance.now() - startedAt));
    this.#timer = setTimeout(() => void this.#round(signal), restMs);
  }
}
