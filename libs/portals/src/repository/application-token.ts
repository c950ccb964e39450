import { hash as hashOnce, timingSafeEqual } from 'node:crypto';

/**
 * Application tokens are only compared, and are 32 random hex digits, which nobody can guess: a plain SHA-256 is stored
 * (`api-reference/events/safe-event-handlers.md`).
 * @throws RangeError for an empty token, whose hash would authenticate everybody
 */
export function hashApplicationToken(token: string): Buffer {
  if (token === '') throw new RangeError('An application token is not empty');
  return sha256(token);
}

/**
 * Whether the token is one of the portal's, in constant time. Independent of the portal's `state`: of an uninstalled
 * portal only a repeated ONAPPUNINSTALL is accepted.
 */
export function hasApplicationToken(portal: { tokenHashes: readonly Buffer[] }, token: string): boolean {
  const hash = sha256(token);
  let matches = 0;
  for (const known of portal.tokenHashes) matches += Number(timingSafeEqual(known, hash));
  return matches > 0 && token !== '';
}

function sha256(text: string): Buffer {
  return hashOnce('sha256', text, 'buffer');
}
