import { createHash, timingSafeEqual } from 'node:crypto';

/**
 * Application tokens are only ever compared, and are 32 random hex digits, too many to guess: so a plain SHA-256 of
 * them is all that is stored (documentation `api-reference/events/safe-event-handlers.md`).
 * @throws RangeError for an empty token, whose hash would let everybody in.
 */
export function hashApplicationToken(token: string): Buffer {
  if (token === '') throw new RangeError('An application token is not empty');
  return sha256(token);
}

/**
 * Whether the token is one of the portal's, in constant time: no early exit tells how close a guess was.
 * It says nothing about the portal's `state`: of an uninstalled portal only a repeated ONAPPUNINSTALL may pass.
 */
export function hasApplicationToken(portal: { tokenHashes: readonly Buffer[] }, token: string): boolean {
  const hash = sha256(token);
  let matches = 0;
  for (const known of portal.tokenHashes) matches += Number(timingSafeEqual(known, hash));
  return matches > 0 && token !== '';
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}
