/** The admin API, with the token of the signed-in operator, which is only in this tab's storage. */

import { withoutSteering } from './foreign-text.js';

const TOKEN_KEY = 'OPS_TOKEN';
/** A bus with a failing broker may answer late; a replay answers after five seconds. */
const TIMEOUT_MS = 30_000;

export function isSignedIn(): boolean {
  return sessionStorage.getItem(TOKEN_KEY) !== null;
}

export function keepToken(token: string): void {
  sessionStorage.setItem(TOKEN_KEY, token);
}

export function forgetToken(): void {
  sessionStorage.removeItem(TOKEN_KEY);
}

/** `rejected`: the token is wrong. `unreachable`: no response. `failed`: the control plane says why. */
export class ApiError extends Error {
  constructor(
    readonly kind: 'rejected' | 'unreachable' | 'failed',
    message: string,
  ) {
    super(message);
  }
}

interface Request {
  method?: 'GET' | 'POST' | 'PUT';
  body?: unknown;
  token?: string;
  signal?: AbortSignal | undefined;
}

/**
 * @returns its JSON as the contract has it: the control plane that served this page has made it. Undefined for 204.
 * @throws ApiError
 */
export async function callApi<Answer = undefined>(
  path: string,
  { method = 'GET', body, token = sessionStorage.getItem(TOKEN_KEY) ?? '', signal }: Request = {},
): Promise<Answer> {
  const headers = headersWith(token);
  if (body !== undefined) headers.set('content-type', 'application/json');
  const answer = await reach(path, {
    method,
    headers,
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), ...(signal ? [signal] : [])]),
  });
  if (answer.status === 401) {
    const why = 'That is not the OPS_TOKEN of this control plane.';
    whenRejected(why);
    throw new ApiError('rejected', why);
  }
  const said = answer.status === 204 ? null : withoutSteering(await answer.json().catch(() => undefined));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the control plane of this build writes what the contract says
  if (answer.ok && said !== undefined) return said as Answer;
  throw new ApiError('failed', errorIn(said) ?? `The control plane answered ${answer.status}.`);
}

let whenRejected: (why: string) => void = () => undefined;

/** The token may be another one by now, whoever notices first. */
export function onRejected(listener: (why: string) => void): void {
  whenRejected = listener;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'It did not work.';
}

async function reach(path: string, request: RequestInit): Promise<Response> {
  try {
    return await fetch(`/ops/api${path}`, request);
  } catch {
    throw new ApiError('unreachable', 'The control plane does not answer.');
  }
}

function headersWith(token: string): Headers {
  try {
    return new Headers({ authorization: `Bearer ${token}` });
  } catch {
    // It has characters that no header allows, so it is wrong.
    throw new ApiError('rejected', 'That is not the OPS_TOKEN of this control plane.');
  }
}

function errorIn(said: unknown): string | undefined {
  const error: unknown =
    typeof said === 'object' && said !== null && 'error' in said ? said.error : undefined;
  return typeof error === 'string' ? error : undefined;
}
