import { Agent, fetch, type RequestInit, type Response } from 'undici';

/** Node's own takes a proxy from the environment where it is told to (NODE_USE_ENV_PROXY), which would get the token. */
const direct = new Agent();

/** Through no proxy, and to no address that an answer leads to: what is sent is for the one that is asked. */
export function fetchDirectly(url: string, init: RequestInit): Promise<Response> {
  return fetch(url, { ...init, dispatcher: direct, redirect: 'manual' });
}
