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

type Hidden = 'all' | ReadonlySet<number>;

/** What users may not see, and who administers the CRM. Everybody sees everything, unless it is said here. */
export class Rights {
  private readonly hidden = new Map<number, Map<number, Hidden>>();
  private readonly administrators = new Map<number, boolean>();

  /** Of one object type, instead of what was hidden before. */
  hide(userId: number, entityTypeId: number, items: Hidden): void {
    const ofUser = this.hidden.get(userId) ?? new Map<number, Hidden>();
    ofUser.set(entityTypeId, items);
    this.hidden.set(userId, ofUser);
  }

  setAdministrator(userId: number, is: boolean): void {
    this.administrators.set(userId, is);
  }

  isAdministrator(userId: number): boolean {
    return this.administrators.get(userId) ?? userId === OWNER_ID;
  }

  /** Undefined: nothing is hidden, and no item needs to be asked about. */
  hiddenFrom(userId: number, entityTypeId: number): ((id: number) => boolean) | undefined {
    const items = this.hidden.get(userId)?.get(entityTypeId);
    if (items === undefined || (items !== 'all' && items.size === 0)) return undefined;
    return (id) => items === 'all' || items.has(id);
  }

  seesNothing(userId: number, entityTypeId: number): boolean {
    return this.hidden.get(userId)?.get(entityTypeId) === 'all';
  }
}
