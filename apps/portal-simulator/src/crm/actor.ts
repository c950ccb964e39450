/**
 * Who did it: a user, herself or through a program that calls REST for her, or a robot, workflow or agent, whose
 * events carry no tokens.
 */
export type Actor = { userId: number; through?: 'application' | 'webhook' } | 'robot';

/** Whoever set the portal up: an administrator. */
export const OWNER_ID = 1;

export function userOf(cause: Actor): number {
  return cause === 'robot' ? 0 : cause.userId;
}
