/**
 * Who did it: a user, herself or through a program that calls REST for her, or a robot, workflow or agent, whose
 * events carry no tokens.
 */
export type Cause = { userId: number; through?: 'application' | 'webhook' } | 'robot';

/** Whoever set the portal up: an administrator. */
export const ownerId = 1;

export function userOf(cause: Cause): number {
  return cause === 'robot' ? 0 : cause.userId;
}
